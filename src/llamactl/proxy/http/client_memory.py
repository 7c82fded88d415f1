"""The memory that all connections of clients hold, together bounded.

Counted is what waits: incomplete heads, requests sent ahead, bodies kept in memory, and
answers that a client does not take. A request that comes complete and is relayed holds nothing.
The last quarter is kept for callers who hold less than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from llamactl.core.errors import ClientMemoryFull
from llamactl.policy.scheduling.shares import at_most


class Holder(Protocol):
    """A connection."""

    held: int  # bytes counted for it
    owner: str | None  # whose share they count to; None: a stranger has none

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
        self._shares: Counter[str] = Counter()  # bytes by owner

    def __repr__(self) -> str:
        return f"<ClientMemory {self.total} of {self.limit}>"

    def hold(self, holder: Holder, size: int) -> None:
        """Count `size` more bytes. Raises ClientMemoryFull if even ending strangers does not help.

        They are counted until released, also when this raises.
        """
        if self.fits(holder, size):
            return
        if self.is_over_share(holder):
            raise ClientMemoryFull(
                f"your requests and unread responses already use {self._share(holder) >> 20} MiB; "
                "wait for some to finish, or raise server.max_client_memory"
            )
        raise ClientMemoryFull(
            "the memory for clients' requests is full; retry later, or raise "
            "server.max_client_memory"
        )

    def fits(self, holder: Holder, size: int) -> bool:
        """The same for what can no longer be refused."""
        self._count(holder, size)
        most = at_most(self._share(holder), self.limit)
        return self.total <= most or self._make_room(holder, most)

    def is_over_share(self, holder: Holder) -> bool:
        """Does its owner hold more than anybody is sure of?"""
        return at_most(self._share(holder), self.limit) < self.limit

    def give_to(self, holder: Holder, owner: str | None) -> None:
        """From now on it counts to another's share."""
        held = holder.held
        self._count(holder, -held)
        holder.owner = owner
        self._count(holder, held)

    def release(self, holder: Holder, size: int) -> None:
        """At most what is counted: an ended holder holds nothing."""
        self._count(holder, -max(0, min(size, holder.held)))

    def _count(self, holder: Holder, size: int) -> None:
        holder.held += size
        self.total += size
        if holder.owner is not None:
            left = self._shares[holder.owner] = self._shares[holder.owner] + size
            if not left:
                del self._shares[holder.owner]

    def _share(self, holder: Holder) -> int:
        return 0 if holder.owner is None else self._shares[holder.owner]

    def _make_room(self, asking: Holder, most: int) -> bool:
        for stranger in list(self._strangers):
            if stranger is asking:
                return False  # its turn
            if stranger.held:
                stranger.give_way()
                if self.total <= most:
                    return True
        return False
