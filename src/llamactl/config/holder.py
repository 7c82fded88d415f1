"""The one place where the settings in force are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from llamactl.config.settings import Settings

Sources = Mapping[tuple[str, ...], str]
T = TypeVar("T")


class SettingsHolder:
    """One per process; a reload is its only writer.

    Code that needs a live setting reads `current` at the moment of need, and subscribes only where
    a change itself is an event, such as more room for those who wait.
    """

    def __init__(self, settings: Settings, sources: Sources | None = None) -> None:
        """`sources`: where each value that was given came from."""
        self._current = settings
        self._sources: Sources = sources or {}
        self._subscribers: list[Callable[[Settings], None]] = []

    def __repr__(self) -> str:
        return f"<SettingsHolder {len(self._subscribers)} subscribers>"

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def sources(self) -> Sources:
        return self._sources

    def subscribe(self, callback: Callable[[Settings], None]) -> None:
        """Call it after each change."""
        self._subscribers.append(callback)

    def derived(self, of: Callable[[Settings], T]) -> Callable[[], T]:
        """A view of what follows from the settings in force, worked out once for each of them.

        Any thread may look.
        """
        kept = (self._current, of(self._current))

        def view() -> T:
            nonlocal kept
            now = self._current
            if (seen := kept)[0] is not now:
                kept = seen = (now, of(now))
            return seen[1]

        return view

    def replace(self, settings: Settings, sources: Sources) -> None:
        """All at once: readers see either the former settings or these."""
        before, self._current, self._sources = self._current, settings, sources
        if settings != before:
            for callback in self._subscribers:
                callback(settings)
