"""What control asks about engines besides a node: their logs, their help, their memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llamactl.core.instance import Instance
from llamactl.core.memory import MeasuredMemory, Need


@dataclass(frozen=True, slots=True)
class Installed:
    """An engine on this machine. "": not known."""

    program: str  # for people; "" where it is not installed
    version: str = ""
    devices: Sequence[str] | None = None  # GPUs that it can use; None: it doesn't say
    gpu: str = ""  # does it use one, and if not, why
    advice: str = ""  # what to do about that


class LogFile(Protocol):
    @property
    def path(self) -> Path: ...

    def tend(self) -> None:
        """See to it that somebody writes what the engine says. Raises OSError."""

    def close(self) -> None:
        """Let those who follow it go."""

    def forget_archives(self) -> None:
        """An earlier instance of this name may have left them."""
        ...

    async def span(
        self, lines: int | None, *, since: float = 0.0, before: int | None = None
    ) -> tuple[int, int]:
        """Offsets of the last lines, or all, that end before this one, or as they stand now.

        Offsets count from the log's first byte for ever. `since`: Unix seconds, to within a
        second or so.
        """

    def stream(
        self, start: int, end: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """What is between two offsets, in chunks of bounded size.

        `search`: only lines with this text, the last `lines` of them.
        """

    def follow(
        self, start: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """From an offset on, then what is added, until the caller leaves."""


class EngineProbe(Protocol):
    """Asks the configured engine about itself."""

    async def ask(self, flag: str, program: str = "") -> str:
        """Output of the engine called with one flag; kept until the engine is another.

        `program`: in place of the configured one. Raises EngineMissing.
        """
        ...


class MemoryBook(Protocol):
    """What instances take of the memory of a node, by its id: estimated first, then learnt."""

    async def need(self, instance: Instance, node: str) -> Need: ...

    async def learn(self, instance: Instance, usage: MeasuredMemory, node: str) -> bool:
        """Keep what was measured; True if it was news."""
        ...

    def asleep(self, instance: Instance, usage: MeasuredMemory, node: str) -> Need:
        """What one takes that was measured while it slept."""
        ...

    async def raise_after_oom(self, instance: Instance, free: Need, node: str) -> None:
        """It found too little memory where this much was thought to be left."""
        ...
