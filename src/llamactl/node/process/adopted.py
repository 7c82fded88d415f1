"""A process that an earlier llamactl spawned: proved to be ours, then held by a pidfd.

Pid, kernel start time and boot id together name one process for ever. A pidfd that was opened
before they were compared still means that process, whatever becomes of its number.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from llamactl.core.events import ProcessRecord
from llamactl.node.process.ports import members
from llamactl.node.process.process import Ended, boot_id, exit_of_zombie, start_time, until_tidy

_TO_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
_GET_INFO, _INFO_SIZE, _INFO_EXIT = 0xC040FF0B, 64, 1 << 3  # PIDFD_GET_INFO; exit: Linux 6.15


class AdoptedProcess:
    """A process group that we do not lead as its parent. `exited` resolves once.

    How it ended can be read as long as its parent has not reaped it, and from Linux 6.15 on
    after that; else both fields are None.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self.exited: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._tidying: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(pidfd, self._noticed)

    def __repr__(self) -> str:
        return f"<AdoptedProcess {self.pid}>"

    def signal(self, number: int) -> None:
        """Signal its group; one that is left without its leader as well."""
        if not self.exited.done():
            self._signal(number)

    def pids(self) -> Iterable[int]:
        return members(self.pid)

    def release(self) -> None:
        """It runs already."""

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self._pidfd, number, None, _TO_GROUP)
            except OSError as exc:
                if isinstance(exc, ProcessLookupError):
                    raise
                signal.pidfd_send_signal(self._pidfd, 0)  # older kernels: it lives, so does its id
                os.killpg(self.pid, number)

    def _noticed(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        ended = exit_of_zombie(self.pid) or _exit_of(self._pidfd)
        left = [pid for pid in self.pids() if pid != self.pid]
        self._tidying = asyncio.get_running_loop().create_task(until_tidy(left))
        self._tidying.add_done_callback(lambda _: self._over(ended))

    def _over(self, ended: Ended) -> None:
        self._signal(signal.SIGKILL)  # what the engine forked goes with it
        os.close(self._pidfd)
        self.exited.set_result(ended)


def is_alive(pid: int, start: int, boot: str) -> bool:
    """Is exactly the process in this ledger entry running?"""
    return bool(start) and boot == boot_id() != "" and start_time(pid) == start


def adopt(record: ProcessRecord) -> AdoptedProcess | None:
    """The recorded process, if it is alive and provably that one; nothing is touched else."""
    try:
        pidfd = os.pidfd_open(record.pid)
    except (OSError, OverflowError, TypeError):
        return None
    if not is_alive(record.pid, record.start_time, record.boot_id):  # it is somebody else's now
        os.close(pidfd)
        return None
    return AdoptedProcess(record.pid, pidfd)


def end_left(record: ProcessRecord) -> None:
    """Kill what a process that is gone has left behind: of its session, and with its own key.

    The key was made for that one process, and passed only in its environment.
    """
    if not record.key or record.boot_id != boot_id():
        return
    for pid in members(record.pid):
        with suppress(OSError, OverflowError, TypeError):
            pidfd = os.pidfd_open(pid)
            try:
                environ = Path(f"/proc/{pid}/environ").read_bytes()
                if record.key.encode() in environ:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _exit_of(pidfd: int) -> Ended:
    """Once its parent has reaped it: `struct pidfd_info` of linux/pidfd.h."""
    info = bytearray(struct.pack("Q", _INFO_EXIT).ljust(_INFO_SIZE, b"\0"))
    with suppress(OSError):
        fcntl.ioctl(pidfd, _GET_INFO, info)
        if struct.unpack_from("Q", info)[0] & _INFO_EXIT:
            return Ended.of(struct.unpack_from("i", info, _INFO_SIZE - 4)[0])
    return Ended(None, None)
