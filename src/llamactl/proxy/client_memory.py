"""The memory that all connections of clients hold, together bounded.

Counted is what waits: heads that are not whole, requests sent ahead, bodies kept in memory, and
answers that a client does not take. A request that comes whole and is relayed holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from llamactl.core.errors import ClientMemoryFull


class Holder(Protocol):
    """A connection."""

    held: int  # bytes counted for it

    def give_way(self) -> None:
        """End at once, and release everything: others need the memory."""
        ...


class ClientMemory:
    """Over the limit, the connections of strangers end first, the oldest of them first."""

    def __init__(self, limit: int, strangers: Iterable[Holder]) -> None:
        """`strangers`: those who have shown no key, the oldest first."""
        self.limit = limit  # bytes
        self.total = 0
        self._strangers = strangers

    def __repr__(self) -> str:
        return f"<ClientMemory {self.total} of {self.limit}>"

    def hold(self, holder: Holder, size: int) -> None:
        """Count `size` more bytes. Raises ClientMemoryFull where even ending strangers is no help.

        They are counted until released, also when this raises.
        """
        if not self.fits(holder, size):
            raise ClientMemoryFull(
                "the memory for clients' requests is full; retry later, or raise "
                "server.max_client_memory"
            )

    def fits(self, holder: Holder, size: int) -> bool:
        """The same for what can't be refused any more."""
        holder.held += size
        self.total += size
        return self.total <= self.limit or self._make_room(holder)

    def release(self, holder: Holder, size: int) -> None:
        """At most what is counted: whoever has ended holds nothing."""
        size = max(0, min(size, holder.held))
        holder.held -= size
        self.total -= size

    def _make_room(self, asking: Holder) -> bool:
        for stranger in list(self._strangers):
            if stranger is asking:
                return False  # its turn
            if stranger.held:
                stranger.give_way()
                if self.total <= self.limit:
                    return True
        return False
