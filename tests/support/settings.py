"""Settings that a test wants otherwise."""

from __future__ import annotations

from llamactl.backends import LLAMA_CPP
from llamactl.config import Settings


def settings(section: str, **given: object) -> Settings:
    return Settings.model_validate({section: given})


def with_args(before: Settings, *args: str) -> Settings:
    """Each llama.cpp engine starts with these, too."""
    engine = before.backends.of(LLAMA_CPP.kind).model_copy(update={"args": args})
    backends = before.backends.model_copy(update={LLAMA_CPP.kind.type: engine})
    return before.model_copy(update={"backends": backends})
