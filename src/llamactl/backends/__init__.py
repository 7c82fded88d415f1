"""Engines as data: options to argv, environment, probe, log patterns. Starts no process."""

from llamactl.backends.base import Backend, FailurePattern
from llamactl.backends.llama_cpp import LLAMA_CPP

BACKENDS: dict[str, Backend] = {LLAMA_CPP.name: LLAMA_CPP}

__all__ = ["BACKENDS", "LLAMA_CPP", "Backend", "FailurePattern"]
