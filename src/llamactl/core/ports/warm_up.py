"""A request that llamactl itself sends to an engine that is ready, before anybody else's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WarmUp:
    path: str
    body: bytes  # JSON


@dataclass(frozen=True, slots=True)
class WarmUpReport:
    seconds: float = 0.0
    status: int = 0  # 0: there was no answer
    prompt_tokens: int = 0  # 0: the engine does not tell
    tokens: int = 0  # that it generated
    error: str = ""  # why it failed, without secrets; "": it did not
