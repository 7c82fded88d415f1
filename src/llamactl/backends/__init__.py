"""Engines as data: options to argv, environment, probe, log patterns. Starts no process."""

from llamactl.backends.base import Backend, FailurePattern, advice_on
from llamactl.backends.llama_cpp import LLAMA_CPP

BACKENDS: dict[str, Backend] = {LLAMA_CPP.name: LLAMA_CPP}

__all__ = ["BACKENDS", "LLAMA_CPP", "Backend", "FailurePattern", "advice"]


def advice(backend: str, message: str) -> str:
    """What to do about what an engine answered; "" where nothing is known."""
    return advice_on(BACKENDS[backend], message)
