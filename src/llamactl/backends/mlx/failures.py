"""Lines of mlx_lm.server's log that tell why it does not serve, each with its source.

A thread loads the model: when that fails the process stays, and so it does when its port is taken.
"""

from __future__ import annotations

import re
from dataclasses import replace

from llamactl.backends.contract import FailurePattern
from llamactl.backends.shared.hugging_face import FAILURES
from llamactl.core.exits import FailureClass

_LM = "https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/"
_MLX = "https://github.com/ml-explore/mlx/blob/main/mlx/"


def _lingers(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern), failure, advice, source, lingers=True)


PATTERNS = (
    *(replace(known, lingers=True) for known in FAILURES),
    FailurePattern(
        re.compile(r"error: (unrecognized arguments|argument \S+: (invalid|expected)|ambiguous)"),
        FailureClass.BAD_OPTION,
        "the engine does not accept one of the options; correct it",
        "https://github.com/python/cpython/blob/main/Lib/argparse.py",
    ),
    _lingers(
        r"(Missing|Received) \d+ parameters|Expected shape .* but received",
        FailureClass.MODEL_INVALID,
        "the model's weights do not fit its config.json; download it again, or convert it for MLX",
        "https://github.com/ml-explore/mlx/blob/main/python/mlx/nn/layers/base.py",
    ),
    _lingers(
        r"The adapter path does not exist",
        FailureClass.BAD_OPTION,
        "the folder in `adapter_path` does not exist; correct its path",
        _LM + "tuner/utils.py",
    ),
    _lingers(
        r"\[Errno (98|48)\] ",
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        "https://github.com/python/cpython/blob/main/Lib/socketserver.py",
    ),
    _lingers(
        r"[Uu]nable to allocate|\[malloc\]|\[metal::malloc\]|MemoryError|std::bad_alloc"
        r"|kIOGPUCommandBufferCallbackErrorOutOfMemory|out of memory",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller or more quantized model, or limit `prompt_cache_bytes`",
        _MLX + "backend/common/buffer_cache.h",
    ),
    _lingers(
        r"\[metal::Device\]|No Metal device|\[metal::load_device\]",
        FailureClass.GPU,
        "the engine can't use the GPU; see its log, and update macOS or the engine",
        _MLX + "backend/metal/device.cpp",
    ),
    _lingers(
        r"generation thread died",
        FailureClass.UNKNOWN,
        "it could not load its model; see the instance's log",
        _LM + "server.py",
    ),
)
