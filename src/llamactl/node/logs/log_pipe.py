"""An engine's output on its way to its log: a named pipe, and the process that empties it.

The engine holds both ends of the pipe, so that it never writes into one without a reader; nobody
else's death ends or blocks it. Who has the lock on the pipe writes the log: `log_writer.py`.
"""

from __future__ import annotations

import array
import fcntl
import os
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

from llamactl.node.logs import log_writer

_SIZE = 1 << 20  # bytes, the most that the kernel gives who is not root
_HEADER = 1 << 15
# The shell goes at once, so the writer is nobody's child, and what ends llamactl does not end it.
_DETACHED = 'exec 3<&0; trap "" HUP INT TERM; "$@" <&3 3<&- &'


class LogPipe:
    def __init__(self, data: Path, log: Path) -> None:
        """`data`: the data directory."""
        self._log = log.absolute()
        self._path = self._log.parent / ".pipes" / log.name
        self._rules = rules_file(data)

    def __repr__(self) -> str:
        return f"<LogPipe {self._path}>"

    def open(self, header: str) -> tuple[int, int]:
        """For an engine to write into, from this line on. Returns the fd, and what is before it.

        "": no line.
        That is how many bytes are still on their way, the line's own among them.
        """
        self._make()
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # there may be too many of that size
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _SIZE)
            before = _held(fd) + (self._say(header) if header else 0)
            self._read_on()
        except BaseException:
            os.close(fd)
            raise
        return fd, before

    def _make(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            os.mkfifo(self._path, 0o600)
        except FileExistsError:
            pass
        except OSError as exc:  # every key may read this, so no path
            why = f"no named pipe can be made in the logs directory: {exc.strerror}"
            raise OSError(exc.errno, why) from exc

    def _say(self, header: str) -> int:
        with suppress(BlockingIOError):  # nobody reads, and an earlier engine's child wrote much
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "wb", buffering=0) as file:
                return file.write(header.encode()[:_HEADER] + b"\n") or 0
        return 0

    def _read_on(self) -> None:
        """Have a process write the log, or wait for the one that does."""
        fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _lock(fd)  # held for the writer from now on, or taken by it later
            self._begin_writer(fd)
        finally:
            os.close(fd)

    def _begin_writer(self, fd: int) -> None:
        os.set_blocking(fd, True)
        program = [sys.executable, "-I", "-S", log_writer.__file__]
        subprocess.run(
            ["/bin/sh", "-c", _DETACHED, "llamactl-log", *program, self._log, self._rules],
            stdin=fd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if k.startswith("LD_")},  # no secret of ours
            start_new_session=True,
            check=True,
        )

    def tend(self) -> None:
        """Replace a writer that was killed with all that belonged to it. Raises OSError."""
        with suppress(FileNotFoundError):
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if _held(fd) and _lock(fd):
                    self._begin_writer(fd)
            finally:
                os.close(fd)

    def rest(self) -> int | None:
        """How much is on its way to the log; None if nobody is left to write it."""
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                held = _held(fd)
                return held if held or not _lock(fd) else None
            finally:
                os.close(fd)
        return None

    @property
    def exists(self) -> bool:
        """An engine was started that may have written nothing yet."""
        return self._path.exists()

    def remove(self) -> None:
        """A writer that is not done yet writes nothing more."""
        self._path.unlink(missing_ok=True)


def rules_file(data: Path) -> Path:
    """The rules for the writers of all logs."""
    return data.absolute() / "log_rotation"


def _held(fd: int) -> int:
    """Bytes in the pipe. What is being moved to a file counts until it is there."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def _lock(fd: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
