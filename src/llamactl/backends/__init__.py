"""Engines as data: options to argv, environment, probe, log patterns. Starts no process."""

from llamactl.backends.contract import Backend, FailurePattern
from llamactl.backends.definition import engine_asked, read_definition
from llamactl.backends.kind import Kind
from llamactl.backends.llama_cpp import LLAMA_CPP
from llamactl.backends.registry import (
    BACKENDS,
    BY_SECTION,
    DEFAULT,
    KINDS,
    advice,
    backend_of,
)

__all__ = [
    "BACKENDS",
    "BY_SECTION",
    "DEFAULT",
    "KINDS",
    "LLAMA_CPP",
    "Backend",
    "FailurePattern",
    "Kind",
    "advice",
    "backend_of",
    "engine_asked",
    "read_definition",
]
