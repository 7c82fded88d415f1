"""The file of revocations: its room is taken when llamactl starts, so that a full disk has it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from llamactl.core.keys import Revocation
from llamactl.observe import logger
from llamactl.policy.access.revocation_slots import (
    COUNT,
    EMPTY,
    HEADER,
    MOST_SESSIONS,
    SIZE,
    SLOT,
    decode,
    encode,
)

_SECTOR = 512  # of `st_blocks`
log = logger("runtime")


class SlotFile:
    """Blocks; called from threads, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None  # to write by
        self._slots: dict[Revocation, int] = {}
        self._free: list[int] = []
        self._turn = Lock()

    def __repr__(self) -> str:
        return f"<SlotFile {self._path} {len(self._slots)} taken, {len(self._free)} free>"

    def open(self) -> Sequence[Revocation]:
        with self._turn:
            self._close()
            held = self._read()
            self._slots = {}
            if held is None:
                return []
            for number in range(1, len(held) // SLOT):
                slot = held[number * SLOT : (number + 1) * SLOT]
                found = decode(slot)
                if found is not None:
                    self._slots[found] = number
                elif slot != EMPTY:
                    log.warning("revocation_was_cut_off", file=str(self._path), slot=number)
            room = self._prepare(held)
            taken = {*self._slots.values()}
            self._free = [n for n in range(room - 1, 0, -1) if n not in taken]
            return [*self._slots]

    def _read(self) -> bytes | None:
        """None for a file that we must not touch."""
        try:
            held = self._path.read_bytes()[:SIZE]
        except FileNotFoundError:
            return b""
        except OSError as exc:
            log.warning("revocations_not_read", reason=exc.strerror)
            return None
        if not held.strip(b"\0"):
            return b""
        if not HEADER.startswith(held[:SLOT]):  # made while the disk was full, it may be short
            log.warning("revocations_not_read", reason=f"{self._path} was not written by llamactl")
            return None
        return held

    def _prepare(self, held: bytes) -> int:
        """Have blocks for all slots; returns for how many there are."""
        whole = HEADER + held[SLOT:].ljust(SIZE - SLOT, b"\0")
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            known = os.fstat(self._fd)
            if known.st_size < SIZE or known.st_blocks * _SECTOR < SIZE:
                _write(self._fd, whole, 0)
                os.fsync(self._fd)
                _sync_folder(self._path.parent)
        except OSError as exc:
            log.warning("revocations_have_no_room", reason=exc.strerror, file=str(self._path))
            return 0 if self._fd is None else len(held) // SLOT
        return COUNT

    def add(self, revocation: Revocation) -> bool:
        with self._turn:
            if revocation in self._slots:
                return True
            sessions = sum(one.kind == "session" for one in self._slots)
            full = revocation.kind == "session" and sessions >= MOST_SESSIONS
            if self._fd is None or not self._free or full:
                return False
            number = self._free.pop()
            try:
                _write(self._fd, encode(revocation), number * SLOT)
                os.fdatasync(self._fd)
            except OSError as exc:
                self._free.append(number)
                log.warning("revocation_not_kept", reason=exc.strerror)
                return False
            self._slots[revocation] = number
            return True

    def discard(self, revocation: Revocation) -> None:
        """Without waiting for the disk: what comes back is taken from the store once more."""
        with self._turn:
            number = self._slots.get(revocation)
            if self._fd is None or number is None:
                return
            try:
                _write(self._fd, EMPTY, number * SLOT)
            except OSError as exc:
                log.warning("revocation_not_discarded", reason=exc.strerror)
                return
            del self._slots[revocation]
            self._free.append(number)

    def close(self) -> None:
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self._free = []


def _write(fd: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
