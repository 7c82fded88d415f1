"""Keeps logs within bounds, without the help of who writes them and without losing a byte.

The head of a log is copied to an archive and punched out of the file, which keeps its length:
writers append as before. Where the file system can't do that, the file is cut after the copy,
and what was written in between is lost; the log of llamactl says so.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llamactl.config import InstanceLogging
from llamactl.observe import logger
from llamactl.runtime import archives, log_times
from llamactl.runtime.log_cursor import hole_of

_LOOK_S, _LOOK_AGAIN_S = 0.2, 0.02
_TIDY_S = 600.0
_BLOCK = 1 << 16  # holes consist of full blocks of the file system; none has larger ones
_PUNCH_HOLE = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_KEPT = 4  # a quarter of the largest size stays in the file, for readers of the last lines
log = logger("runtime")


@dataclass(frozen=True, slots=True)
class RotationRules:
    max_size: int  # bytes of a log before its head is archived
    max_files: int  # archives
    max_age: float  # seconds; 0: as old as they get
    compress: bool

    @classmethod
    def of(cls, given: InstanceLogging) -> RotationRules | None:
        """None where nothing is to be rotated."""
        if not given.log_rotation_enabled:
            return None
        return cls(
            given.log_rotation_max_size << 20,
            given.log_rotation_max_files,
            given.log_rotation_max_age * 86400,
            given.log_rotation_compress,
        )


class Rotation:
    """One for all logs of a machine."""

    def __init__(self, rules: RotationRules | None) -> None:
        """`rules`: None rotates nothing."""
        self.rules = rules
        self._sizes: dict[Path, int] = {}
        self._faulty: set[Path] = set()
        self._punches: dict[Path, bool] = {}  # by folder

    def __repr__(self) -> str:
        return f"<Rotation {self.rules}>"

    async def keep(
        self, written: Callable[[], Iterable[Path]], every: Callable[[], Iterable[Path]]
    ) -> None:
        """Look after these logs for ever, and a last time after they are written to no more.

        `every`: those too whose archives only grow old.
        """
        before: set[Path] = set()
        tidied = time.monotonic()
        while True:
            now = set(written())
            grows = await _to_its_end(self.look, now | before)
            before = now
            if time.monotonic() - tidied > _TIDY_S:
                await _to_its_end(self.tidy, set(every()))
                tidied = time.monotonic()
            await asyncio.sleep(_LOOK_AGAIN_S if grows else _LOOK_S)

    def tidy(self, paths: Iterable[Path]) -> bool:
        """Let go of archives that are too old."""
        for path in paths:
            if self.rules is not None:
                with suppress(OSError):  # said at the next rotation
                    _tidy(path, self.rules)
        return self.rules is not None

    def look(self, paths: Iterable[Path]) -> bool:
        """True if one grows so fast that it is worth looking again soon."""
        soon = False
        sizes: dict[Path, int] = {}
        for path in paths:
            try:
                size = sizes[path] = path.stat().st_size
                before = self._sizes.get(path)
                if size == before:
                    continue
                log_times.note(path, time.time(), size)
                if self.rules is not None:
                    grown = size - (size if before is None else before)
                    soon = soon or grown > self.rules.max_size >> 4
                    self._rotate(path, self.rules, shrank=before is not None and size < before)
                self._faulty.discard(path)
            except FileNotFoundError:
                continue
            except OSError as exc:
                if path not in self._faulty:
                    log.warning("log_not_rotated", path=str(path), reason=str(exc))
                self._faulty.add(path)
        self._sizes = sizes
        return soon

    def _rotate(self, path: Path, rules: RotationRules, *, shrank: bool) -> None:
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            punches = not archives.archives_of(path) or self._can_punch(path.parent)
            head = self._finish(path, file, shrank=shrank, punches=punches)
            if size - head < rules.max_size:
                return
            punches = self._can_punch(path.parent)
            # without holes all goes: what is written again may be lost on the way
            cut = (size - rules.max_size // _KEPT) // _BLOCK * _BLOCK if punches else size
            archives.prune(path, most=max(0, rules.max_files - 1), oldest=0)
            archives.add(path, file, head, cut)
            (_punch_hole if punches else _cut)(file.fileno(), cut)
        _tidy(path, rules)

    def _can_punch(self, folder: Path) -> bool:
        """Does its file system make holes, and tell where they end?"""
        if folder not in self._punches:
            self._punches[folder] = makes_holes(folder)
            if not self._punches[folder]:
                log.warning(
                    "logs_are_cut",
                    reason="this file system has no holes: lines may be lost at rotations",
                )
        return self._punches[folder]

    def _finish(self, path: Path, file: BinaryIO, *, shrank: bool, punches: bool) -> int:
        """What was archived, but not yet punched out as llamactl died; returns the head.

        If the file can't be what the archives were taken from, as somebody cut or replaced it,
        they are forgotten: they would stand for what it holds now.
        """
        size, kept = os.fstat(file.fileno()).st_size, archives.archives_of(path)
        head = hole_of(file) if punches or not kept else kept[-1].end
        if not kept or (kept[-1].end <= min(head, size) and not shrank):
            return head
        if shrank or size < kept[-1].end or (punches and head != kept[-1].start):
            log.warning("log_was_cut", path=str(path), forgotten=len(kept))
            archives.remove(path)
            log_times.times_of(path).unlink(missing_ok=True)
            return hole_of(file)
        _punch_hole(file.fileno(), kept[-1].end)
        return kept[-1].end


async def _to_its_end(work: Callable[[set[Path]], bool], paths: set[Path]) -> bool:
    working = asyncio.ensure_future(asyncio.to_thread(work, paths))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await working  # who comes after us must find nothing half done
        raise


def _tidy(path: Path, rules: RotationRules) -> None:
    oldest = time.time() - rules.max_age if rules.max_age else 0.0
    archives.prune(path, most=rules.max_files, oldest=oldest)
    archives.drop_doubles(path)
    if rules.compress:
        for archive in archives.archives_of(path):
            if not archive.compressed:
                archives.compress(archive)


def makes_holes(folder: Path) -> bool:
    """Raises OSError where it can't be tried."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * (2 * _BLOCK))
        file.flush()
        try:
            _punch_hole(file.fileno(), _BLOCK)
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
            return False
        return hole_of(file) == _BLOCK


def _cut(fd: int, end: int) -> None:
    """Leave what follows `end`; offsets stay what they are. What is written meanwhile is lost."""
    size = os.fstat(fd).st_size
    rest = os.pread(fd, size - end, end)
    os.ftruncate(fd, 0)
    os.ftruncate(fd, size)
    os.pwrite(fd, rest, end)


def _punch_hole(fd: int, end: int) -> None:
    """https://man7.org/linux/man-pages/man2/fallocate.2.html"""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate"):
        raise OSError(errno.ENOSYS, "this system does not support holes")
    if libc.fallocate(fd, _PUNCH_HOLE, ctypes.c_longlong(0), ctypes.c_longlong(end)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
