"""Who takes an engine's answer."""

from __future__ import annotations

from typing import Protocol

from llamactl.proxy.http.heads import ResponseHead


class Sink(Protocol):
    """Takes an answer as it comes from an engine."""

    @property
    def caller(self) -> str:
        """Whose request it is, as for `Turns.join`."""
        ...

    @property
    def in_turns(self) -> bool:
        """Does it look into what comes, so that much of it is to come in parts?"""
        ...

    def answered(self, head: ResponseHead, length: int) -> None:
        """`length`: of the body, if the head gives one."""
        ...

    def data(self, pieces: list[bytes]) -> None:
        """What came together of the body; nothing, if only the head has come."""
        ...

    def complete(self) -> None: ...

    def lost(self, reason: str) -> None: ...

    def pause_sending(self) -> None:
        """The engine takes the request more slowly than it comes."""
        ...

    def resume_sending(self) -> None: ...
