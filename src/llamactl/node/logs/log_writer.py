"""The process that writes an engine's log: from a pipe into files of bounded size.

    python log_writer.py LOG RULES < PIPE

`LOG` is the newest part; when it is full it becomes the archive `LOG.START-END`, named by its
offsets, which count from the log's first byte for ever. The holder of the lock on the pipe writes
the log; others wait for it. It ends when nobody is left who could write into the pipe, and by no
signal that asks: an engine's last words come after it. Bytes go from pipe to file inside the
kernel: whatever is killed when, each is in one of the two.

Run as a script, by itself: an engine's log must not depend on llamactl, nor cost its memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import time

_CHUNK = 1 << 20
_NOTE_S = 0.2
_MOST_TIMES = 1 << 20  # bytes; then the older half goes
_PRIVATE = 0o600
Range = tuple[int, int, str]  # of an archive: its offsets, and its file's name


def archives(log: str) -> list[Range]:
    """Oldest first. One that is kept twice, compressed and not, is there twice."""
    folder, name = os.path.split(log)
    found = []
    for entry in os.listdir(folder):
        if entry.startswith(f"{name}."):
            offsets, _, rest = entry[len(name) + 1 :].partition(".")
            start, _, end = offsets.partition("-")
            if rest in ("", "gz") and start.isdecimal() and end.isdecimal():
                found.append((int(start), int(end), os.path.join(folder, entry)))
    return sorted(found)


def prune(log: str, most: int) -> None:
    """Keep the newest `most`."""
    kept = archives(log)
    ranges = sorted({(start, end) for start, end, _ in kept})
    going = set(ranges[: max(0, len(ranges) - most)])
    for start, end, path in kept:
        if (start, end) in going:
            _remove(path)


def note(log: str, at: float, size: int) -> None:
    """That the log had this length, at these Unix seconds. Raises OSError."""
    path = f"{log}.times"
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE)
    try:
        os.write(fd, b"%.3f %d\n" % (at, size))
        if os.fstat(fd).st_size > _MOST_TIMES:
            kept = os.pread(fd, 2 * _MOST_TIMES, 0)
            part = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
            try:
                os.write(part, kept[kept.index(b"\n", len(kept) // 2) + 1 :])
            finally:
                os.close(part)
            os.rename(f"{path}.part", path)
    finally:
        os.close(fd)


class LogWriter:
    """Holds the newest part open. `start` is the offset of its first byte, `size` its length."""

    def __init__(self, source: int, log: str, rules: str) -> None:
        self._source = source
        self._log = log
        self._rules = rules
        self._limits = (100 << 20, 5)
        self._fd = -1
        self._start = self._size = 0
        self._noted = (0.0, -1)  # when, and which length
        self._lost, self._why = 0, ""
        self._splices = True

    def __repr__(self) -> str:
        return f"<LogWriter {self._log}>"

    def run(self) -> None:
        """Until the pipe's last writer is gone."""
        self._read_rules()
        ready = select.poll()
        ready.register(self._source)
        while True:
            if self._noted[1] == self._end or ready.poll(_NOTE_S * 1000):
                if not self._take():
                    break
                if time.monotonic() - self._noted[0] < _NOTE_S:
                    continue
            self._note()
        self._note()
        if self._fd != -1:
            os.close(self._fd)

    @property
    def _end(self) -> int:
        return self._start + self._size

    def _take(self) -> int:
        """Move what is there, to nowhere if the disk takes nothing; 0 at the end."""
        try:
            room = self._room()
            if self._lost:
                text = b"--- %d bytes were lost here: %b\n" % (self._lost, self._why.encode())
                self._size += os.pwrite(self._fd, text, self._size)
                self._lost = 0
            count = self._move(room)
            self._size += count
        except OSError as exc:
            count = len(os.read(self._source, _CHUNK))
            self._lost, self._why = self._lost + count, exc.strerror or str(exc)
        return count

    def _move(self, most: int) -> int:
        if self._splices:
            try:
                return os.splice(self._source, self._fd, most, offset_dst=self._size)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self._splices = False  # not into this file system
        data = os.read(self._source, most)
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], self._size + done)
        return done

    def _room(self) -> int:
        """Bytes that may go into the newest part as it is now."""
        self._look()
        most, files = self._limits
        if most and self._size >= most:
            prune(self._log, files - 1)
            os.rename(self._log, self._archive())
            self._open()
        return min(_CHUNK, most - self._size) if most else _CHUNK

    def _look(self) -> None:
        """Continue in a new file where there is none, or it was removed or cut."""
        if self._fd != -1 and self._is_mine():
            return
        if not os.fstat(self._source).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the log was deleted")
        if self._size:  # an archive without its bytes: what follows has its own offsets
            os.close(os.open(self._archive(), os.O_WRONLY | os.O_CREAT, _PRIVATE))
        self._open()

    def _is_mine(self) -> bool:
        """Is the file that has the log's name the one that is open, and as long at least?"""
        try:
            now = os.stat(self._log)
        except FileNotFoundError:
            return False
        if now.st_ino != os.fstat(self._fd).st_ino or now.st_size < self._size:
            return False
        self._size = now.st_size
        return True

    def _archive(self) -> str:
        return f"{self._log}.{self._start}-{self._end}"

    def _open(self) -> None:
        fd = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        size = os.fstat(fd).st_size
        if size and (hole := os.lseek(fd, 0, os.SEEK_DATA)):  # an earlier version made it
            os.close(fd)
            os.rename(self._log, f"{self._log}.{hole}-{size}")
            self._open()
            return
        if self._fd != -1:
            os.close(self._fd)
        kept = archives(self._log)
        self._fd, self._start, self._size = fd, kept[-1][1] if kept else 0, size

    def _note(self) -> None:
        self._noted = (time.monotonic(), self._end)
        self._read_rules()
        try:
            if os.path.exists(self._log):
                note(self._log, time.time(), self._end)
        except OSError:
            pass  # it can be read all the same, if not by its times

    def _read_rules(self) -> None:
        """Bytes of the newest part, 0 for no limit, and how many archives; as they are now."""
        try:
            with open(self._rules, "rb") as file:
                size, files = file.read(64).split()
            self._limits = int(size), int(files)
        except (OSError, ValueError):
            pass  # they stay what they were


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def main() -> None:
    fcntl.flock(0, fcntl.LOCK_EX)
    while os.fork():  # who waits here replaces a writer that was killed
        if os.waitstatus_to_exitcode(os.wait()[1]) >= 0:
            return
    LogWriter(0, *sys.argv[1:]).run()


if __name__ == "__main__":
    main()
