"""llama.cpp's llama-server, from a binary or the built-in one."""

from llamactl.backends.llama_cpp.backend import LLAMA_CPP

__all__ = ["LLAMA_CPP"]
