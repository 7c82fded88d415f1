"""Lines of mlx_lm.server's log that tell why it does not serve, each with its source.

A thread loads the model: when that fails the process stays, and so it does when its port is taken.
"""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.core.exits import FailureClass

_LM = "https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/"
_MLX = "https://github.com/ml-explore/mlx/blob/main/mlx/"
_HUB = "https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/"


def _lingers(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern), failure, advice, source, lingers=True)


PATTERNS = (
    FailurePattern(
        re.compile(r"error: (unrecognized arguments|argument \S+: (invalid|expected)|ambiguous)"),
        FailureClass.BAD_OPTION,
        "the engine does not accept one of the options; correct it",
        "https://github.com/python/cpython/blob/main/Lib/argparse.py",
    ),
    _lingers(
        r"Repo id must be in the form|Repo id must use",
        FailureClass.MODEL_FILE_MISSING,
        "a folder does not exist; check the path in `model`, and in `draft_model` if set",
        _HUB + "utils/_validators.py",
    ),
    _lingers(
        r"Cannot find an appropriate cached snapshot|outgoing traffic has been disabled",
        FailureClass.MODEL_FILE_MISSING,
        "the model is not on this machine, and the engine runs offline: download it first, give "
        "the path of its folder, or set HF_HUB_OFFLINE=0 in the instance's environment",
        _HUB + "_snapshot_download.py",
    ),
    _lingers(
        r"Repository Not Found for url|Cannot access gated repo|Revision Not Found for url",
        FailureClass.MODEL_FILE_MISSING,
        "the hub has no such model for you; check its name, and HF_TOKEN if it is not public",
        _HUB + "errors.py",
    ),
    _lingers(
        r"No such file or directory: .*config\.json|No safetensors found in",
        FailureClass.MODEL_INVALID,
        "the folder in `model` is not a complete model: config.json or its safetensors files are "
        "missing; download it again",
        _LM + "utils.py",
    ),
    _lingers(
        r"\[load_safetensors\]|Error while deserializing header|JSONDecodeError: |died: Expecting ",
        FailureClass.MODEL_INVALID,
        "a file of the model is damaged or incomplete; download it again",
        _MLX + "io/safetensors.cpp",
    ),
    _lingers(
        r"Model type .* not supported",
        FailureClass.MODEL_INVALID,
        "this version of the engine does not know the model's architecture; install a newer one",
        _LM + "utils.py",
    ),
    _lingers(
        r"(Missing|Received) \d+ parameters|Expected shape .* but received",
        FailureClass.MODEL_INVALID,
        "the model's weights do not fit its config.json; download it again, or convert it for MLX",
        "https://github.com/ml-explore/mlx/blob/main/python/mlx/nn/layers/base.py",
    ),
    _lingers(
        r"Couldn't instantiate the backend tokenizer",
        FailureClass.MODEL_INVALID,
        "the folder in `model` has no tokenizer; download it again",
        "https://github.com/huggingface/transformers/blob/main/src/transformers/"
        "tokenization_utils_tokenizers.py",
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
