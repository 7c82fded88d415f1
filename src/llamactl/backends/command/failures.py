"""Lines that tell why a program ended: of common runtimes' logs, and of engines that people run."""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.backends.shared.hugging_face import FAILURES
from llamactl.core.exits import FailureClass

_PYTHON = "https://docs.python.org/3/library/"
_SGLANG = "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/"

# SGLang, in `utils/common.py` of it: when a part of it fails, it kills all of itself.
KILLS_ITSELF = re.compile(r"kill_process_tree called: parent_pid=(\d+), .*=True, pid=\1\b")


def _known(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern, re.IGNORECASE), failure, advice, source)


PATTERNS = (
    *FAILURES,
    _known(
        r"address already in use|EADDRINUSE",
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        f"{_PYTHON}errno.html#errno.EADDRINUSE",
    ),
    _known(
        r"unrecognized arguments|following arguments are required|error: argument ",
        FailureClass.BAD_OPTION,
        "the program does not accept one of its arguments; correct args",
        f"{_PYTHON}argparse.html#exiting-methods",
    ),
    _known(
        r"\bout of memory\b|\bMemoryError\b|std::bad_alloc",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, or run fewer instances at once",
        f"{_PYTHON}exceptions.html#MemoryError",
    ),
    _known(
        r"\bnot enough memory\b|\bno GPU memory\b",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, run fewer instances at once, or change the share "
        "of the GPU that the program takes",
        f"{_SGLANG}mem_cache/kv_cache_configurator.py",
    ),
)
