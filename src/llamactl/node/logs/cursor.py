"""Reads a log across its file and its archives, by offsets that count from its first byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llamactl.node.logs.archives import BROKEN, Archive, archives_of

_BLOCK = 1 << 16
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Newest:
    """The part that is written to, open, and what of the log it holds."""

    file: BinaryIO
    start: int  # offsets
    end: int
    first: int  # the position of `start` in the file

    def position(self, offset: int) -> int:
        return self.first + offset - self.start


def open_newest(log: Path) -> Newest | None:
    """None if it isn't there. What is read of it is right even if it is archived meanwhile."""
    with suppress(FileNotFoundError):
        while True:
            file = log.open("rb")
            kept = archives_of(log)
            if os.path.samestat(os.fstat(file.fileno()), log.stat()):
                break
            file.close()  # it was archived between the two
        size, hole = os.fstat(file.fileno()).st_size, _hole_of(file)
        if hole:  # of an engine that an earlier version started
            return Newest(file, hole, size, hole)
        start = kept[-1].end if kept else 0
        return Newest(file, start, start + size, 0)
    return None


def _hole_of(file: BinaryIO) -> int:
    """Where the hole at its beginning ends: https://man7.org/linux/man-pages/man2/lseek.2.html"""
    with suppress(OSError):  # it is empty
        return os.lseek(file.fileno(), 0, os.SEEK_DATA)
    return 0


def end_of(log: Path) -> int:
    """How many bytes were written to it, ever."""
    if (newest := open_newest(log)) is not None:
        with newest.file:
            return newest.end
    return _end_of_archives(log)


def _end_of_archives(log: Path) -> int:
    kept = archives_of(log)
    return kept[-1].end if kept else 0


class LogCursor:
    """From `at` to `end`, or for ever. Deleted parts are skipped."""

    def __init__(self, log: Path, at: int, end: int | None) -> None:
        self.at = at
        self._log = log
        self._end = end
        self._archive: tuple[Archive, BinaryIO] | None = None

    def close(self) -> None:
        if self._archive is not None:
            self._archive[1].close()
        self._archive = None

    def read(self) -> bytes:
        """The next bytes; none at the end, or for now."""
        chunk = self._read_archive()
        while not chunk and not self._is_over():
            newest, start = self._read_newest()
            if start <= self.at:
                chunk = newest
                break
            if not self._open_archive():
                self.at = start
            chunk = self._read_archive()
        self.at += len(chunk)
        return chunk

    def _is_over(self) -> bool:
        return self._end is not None and self.at >= self._end

    def _most(self) -> int:
        return _CHUNK if self._end is None else max(0, min(_CHUNK, self._end - self.at))

    def _read_newest(self) -> tuple[bytes, int]:
        """What it has from here on, and where it begins."""
        if (newest := open_newest(self._log)) is None:
            return b"", _end_of_archives(self._log)
        with newest.file as file:
            if newest.start > self.at:
                return b"", newest.start
            file.seek(newest.position(self.at))
            return file.read(self._most()), newest.start

    def _open_archive(self) -> bool:
        for last_try in (False, False, True):
            later = [a for a in archives_of(self._log) if a.end > self.at]
            if not later or (later[0].start > self.at and not last_try):
                continue  # one that is being renamed shows in the next listing
            try:
                file = later[0].open()
                at = max(self.at, later[0].start)
                file.seek(file.tell() + at - later[0].start)
            except FileNotFoundError:
                continue
            except BROKEN:
                self.at = later[0].end
                continue
            self.at, self._archive = at, (later[0], file)
            return True
        return False

    def _read_archive(self) -> bytes:
        if self._archive is None:
            return b""
        archive, file = self._archive
        chunk, most = b"", self._most()
        with suppress(*BROKEN):  # what is left of it can't be had
            chunk = file.read(most)
        if not chunk:
            self.close()
            self.at = archive.end if most else self.at
        return chunk


def start_of_last(log: Path, lines: int, end: int) -> int:
    """Where the last `lines` lines before `end` begin, or the first byte that is kept."""
    with closing(LogCursor(log, max(end - 1, 0), end)) as last:
        ended = last.read() == b"\n"
    if lines == 0 and ended:
        return end
    wanted, start = max(lines + ended, 1), end  # the end of the last line is none before it
    if (newest := open_newest(log)) is not None:
        with newest.file as file:
            begin = min(newest.start, end)
            span = newest.position(begin), newest.position(min(end, newest.end))
            found, wanted = _backwards(file, span, wanted)
            start = begin + found - span[0]
    for archive in reversed(archives_of(log)):
        if wanted == 0:
            break
        if archive.start < start:
            with suppress(*BROKEN), archive.open() as file:
                find = _forwards if archive.compressed else _backwards
                first = file.tell()
                span = (first, first + min(archive.end, start) - archive.start)
                found, wanted = find(file, span, wanted)
                start = archive.start + found - first
    return start


def _backwards(file: BinaryIO, span: tuple[int, int], wanted: int) -> tuple[int, int]:
    """After the `wanted`th line end from behind, or where the span begins; how many are left."""
    begin, at = span
    while at > begin:
        block_at = max(begin, at - _BLOCK)
        file.seek(block_at)
        block = file.read(at - block_at)
        if (ends := block.count(b"\n")) < wanted:
            wanted, at = wanted - ends, block_at
            continue
        cut = len(block)
        while (cut := block.rfind(b"\n", 0, cut)) != -1:
            wanted -= 1
            if wanted == 0:
                return block_at + cut + 1, 0
        at = block_at
    return begin, wanted


def _forwards(file: BinaryIO, span: tuple[int, int], wanted: int) -> tuple[int, int]:
    """The same for streams that can only be read forwards."""
    counts = [chunk.count(b"\n") for chunk in _chunks(file, span)]
    left = sum(counts) - wanted  # line ends to pass over
    if left < 0:
        return span[0], -left
    file.seek(span[0])
    at = span[0]
    for chunk, count in zip(_chunks(file, span), counts, strict=False):
        if left < count:
            cut = -1
            for _ in range(left + 1):
                cut = chunk.index(b"\n", cut + 1)
            return at + cut + 1, 0
        left -= count
        at += len(chunk)
    return at, 0


def _chunks(file: BinaryIO, span: tuple[int, int]) -> Iterator[bytes]:
    at, end = span
    while at < end and (chunk := file.read(min(_CHUNK, end - at))):
        at += len(chunk)
        yield chunk
