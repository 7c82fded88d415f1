"""Lines of llama.cpp's log that tell why it ended, each with the source that writes it.

The last matching line counts, so a general complaint that follows a precise one is left out.
"""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.core.exits import FailureClass

_TREE = "https://github.com/ggml-org/llama.cpp/blob/master/"


def _known(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern, re.IGNORECASE), failure, advice, _TREE + source)


VAGUE = re.compile(
    r"Failed to init server|exiting due to model loading|failed to (create|load)[ _](context|model)"
    r"|failed to load (multimodal|draft) model|to show complete usage",
    re.IGNORECASE,
)

PATTERNS = (
    _known(
        r"failed to open GGUF file|No such file or directory.*\.gguf|GGUF.*No such file",
        FailureClass.MODEL_FILE_MISSING,
        "a model file can't be opened; check the path in `model`, and in `mmproj`, "
        "`model_draft` or `lora` if set",
        "ggml/src/gguf.cpp",
    ),
    _known(
        r"invalid magic characters|failed to read (magic|header|key-value|tensor)",
        FailureClass.MODEL_INVALID,
        "the file is not a complete GGUF model; download it again",
        "ggml/src/gguf.cpp",
    ),
    _known(
        r"data is not within the file bounds",
        FailureClass.MODEL_INVALID,
        "the model file is damaged or incomplete; download it again",
        "src/llama-model-loader.h",
    ),
    _known(
        r"unknown model architecture",
        FailureClass.MODEL_INVALID,
        "this engine does not know the model's architecture; use a newer engine",
        "src/llama-model.cpp",
    ),
    _known(
        r"error: (invalid argument|while handling argument|unknown flag)"
        r"|error while handling argument",
        FailureClass.BAD_OPTION,
        "the engine does not accept one of the options; correct it",
        "common/arg.cpp",
    ),
    _known(
        r"couldn't bind HTTP server socket",
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        "tools/server/server-http.cpp",
    ),
    _known(
        # CUDA, HIP: "CUDA error: out of memory", "cudaMalloc failed: out of memory"
        # Vulkan: vk::OutOfDeviceMemoryError, "ErrorOutOfDeviceMemory"
        r"out of memory|OutOf(Device|Host)Memory|kIOGPUCommandBufferCallbackErrorOutOfMemory",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory on the device: use a smaller context, fewer GPU layers or a "
        "smaller model",
        "ggml/src/ggml-cuda/ggml-cuda.cu",
    ),
    _known(
        r"failed to allocate|insufficient memory|cannot allocate memory|std::bad_alloc",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller context or a smaller model",
        "ggml/src/ggml-backend.cpp",
    ),
    _known(
        r"failed to initialize (CUDA|ROCm|MUSA)|no CUDA-capable device"
        r"|driver version is insufficient|(CUDA|ROCm|MUSA) error:",
        FailureClass.GPU,
        "the GPU or its driver failed; check nvidia-smi or rocminfo, and the driver's version",
        "ggml/src/ggml-cuda/ggml-cuda.cu",
    ),
    _known(
        r"ggml_vulkan: (No devices found|Error:)|ErrorDeviceLost|ErrorInitializationFailed",
        FailureClass.GPU,
        "the GPU or its driver failed; check vulkaninfo, and the driver's version",
        "ggml/src/ggml-vulkan/ggml-vulkan.cpp",
    ),
)
