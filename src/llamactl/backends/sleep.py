"""How an engine sleeps: its process stays, without its model, as its backend describes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from llamactl.core.instance import InstanceOptions

if TYPE_CHECKING:
    from llamactl.backends.contexts import Post
    from llamactl.backends.contract import Backend, Get, Start

IDLE_SECONDS = 1  # the fewest


class SleepMode(ABC):
    flag: ClassVar[str]  # of its command line, with which it can sleep
    by_itself: ClassVar[bool]  # after a time without requests; else it is asked to
    environment: ClassVar[Mapping[str, str]] = {}  # that it needs for that

    def obstacle(self, start: Start) -> str:
        """Why such an engine can't sleep, and what to do; "" if it can."""
        if found := self.excluded(start):
            return found
        if start.container is not None or start.known.get(self.flag) is not None:
            return ""  # what an image has is seen when it starts
        return f"this engine has no {self.flag}; use a newer one"

    @abstractmethod
    def excluded(self, start: Start) -> str:
        """By its definition, whatever engine runs it; "" if it is not."""

    @abstractmethod
    def words(self, idle_s: float) -> Sequence[str]:
        """Of the command line. `idle_s`: seconds without requests until it is to sleep."""

    def is_on(self, command: Sequence[str]) -> bool:
        """Can a process sleep that was begun so?"""
        return self.flag in command

    @abstractmethod
    def is_asleep(self, get: Get) -> bool | None:
        """Does the running engine sleep? None if it doesn't tell. Wakes nothing."""

    @abstractmethod
    def fall_asleep(self, post: Post) -> None:
        """Raises OSError if it does not answer. What it answers proves nothing."""

    @abstractmethod
    def wake(self, get: Get, post: Post) -> None:
        """As `fall_asleep`."""


def sleep_mode(
    backend: Backend, options: InstanceOptions, command: Sequence[str]
) -> SleepMode | None:
    """Of a process that was begun so; None if it stops instead."""
    mode = backend.sleep
    if mode is None or options.idle_action != "sleep" or not mode.is_on(command):
        return None
    return mode


def why_no_sleep(backend: Backend, start: Start, *, asked: bool) -> str:
    """Why an instance stops when it is idle, though it is to sleep; "" if it sleeps.

    `asked`: its engine was asked for its options.
    """
    if backend.sleep is None:
        return f"{backend.kind.title} can't sleep"
    return backend.sleep.obstacle(start) if asked else backend.sleep.excluded(start)
