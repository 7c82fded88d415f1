"""The right to send requests to a process of an instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from llamactl.core.routes import ReadyInstance

T = TypeVar("T")


class Lease(Generic[T]):
    """Counts from its grant until it is released: its instance is busy for as long.

    A plain class with slots: one is made for each request.
    """

    __slots__ = ("_give_back", "_of", "ahead", "endpoint")

    def __init__(self, endpoint: ReadyInstance, of: T, give_back: Callable[[T], None]) -> None:
        """`give_back` is called with `of`, once."""
        self.endpoint = endpoint
        self.ahead = 0  # instances that came first, where only another process could know that
        self._of = of
        self._give_back: Callable[[T], None] | None = give_back

    def __repr__(self) -> str:
        return f"<Lease of {self._of} {'held' if self._give_back else 'released'}>"

    def release(self) -> None:
        """Calling it again has no effect."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self._of)
