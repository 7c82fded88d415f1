"""How many clients each proxy process has, in memory that all of them see."""

from __future__ import annotations

import mmap
import os
import struct

_SLOT = struct.Struct("=q")
_ABSENT = -1


class OpenCounts:
    """Each process writes its own slot, so nothing needs a lock; a look is a moment old at most."""

    def __init__(self, fd: int, slots: int) -> None:
        """`fd`: of memory made by `create`."""
        self.slots = slots
        self._memory = mmap.mmap(fd, slots * _SLOT.size)

    def __repr__(self) -> str:
        return f"<OpenCounts {self.all()}>"

    @staticmethod
    def create(slots: int) -> int:
        """A descriptor of memory for so many processes, none of which is there yet."""
        fd = os.memfd_create("llamactl-open-connections")
        os.write(fd, _SLOT.pack(_ABSENT) * slots)
        return fd

    def all(self) -> list[int]:
        return [count for (count,) in _SLOT.iter_unpack(self._memory[:])]

    def total(self) -> int:
        return sum(count for count in self.all() if count != _ABSENT)

    def set(self, slot: int, count: int) -> None:
        _SLOT.pack_into(self._memory, slot * _SLOT.size, count)

    def clear(self, slot: int) -> None:
        """Its process is gone."""
        self.set(slot, _ABSENT)

    def ahead(self, slot: int, mine: int) -> int:
        """How many more than the process with the fewest."""
        others = [n for i, n in enumerate(self.all()) if n != _ABSENT and i != slot]
        return mine - min(others, default=mine)
