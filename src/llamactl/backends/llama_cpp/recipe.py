"""llama-server from source, and what it gains beside the built-in engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llamactl.backends.contract import Gain, Recipe

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
