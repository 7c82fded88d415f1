"""Lines of the log of `transformers serve` that tell why it ended, each with its source."""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.backends.shared.hugging_face import FAILURES
from llamactl.core.exits import FailureClass

PATTERNS = (
    *FAILURES,
    FailurePattern(
        re.compile(r"No such option|Invalid value for|requires an argument|unexpected extra arg"),
        FailureClass.BAD_OPTION,
        "the engine does not accept one of the options; correct it",
        "https://github.com/pallets/click/blob/main/src/click/exceptions.py",
    ),
    FailurePattern(
        re.compile(r"Transformers serving requires|requires `accelerate`|No module named"),
        FailureClass.COMMAND_MISSING,
        "a package that it needs is not installed; install transformers[serving] and accelerate",
        "https://github.com/huggingface/transformers/blob/main/src/transformers/cli/serve.py",
    ),
    FailurePattern(
        re.compile(r"\[Errno 98\]"),
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        "https://github.com/encode/uvicorn/blob/master/uvicorn/server.py",
    ),
    FailurePattern(
        re.compile(r"out of memory|MemoryError|std::bad_alloc|can't allocate memory"),
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, or a smaller `dtype`",
        "https://github.com/pytorch/pytorch/blob/main/c10/core/impl/alloc_cpu.cpp",
    ),
)
