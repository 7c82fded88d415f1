"""One engine process: spawned held back, released, watched by pidfd, ended as a group.

A one-line shell waits in place of the engine until we say go, then becomes it (`exec`). When
llamactl dies first, the pipe closes and the shell goes: no process exists that nobody knows.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llamactl.core.exits import FailureClass
from llamactl.node.process import cgroups
from llamactl.node.process.ports import members

_DEAD = ("Z", "X")
_TIDY_S = 1.0  # for what outlives its leader

# $1 is the soft limit of open files to go back to; the rest is the engine's argv.
_GATE = 'read -r go || exit 125; ulimit -Sn "$1" 2>/dev/null; shift; exec "$@" </dev/null'


@dataclass(frozen=True, slots=True)
class Cause:
    """Why it ended, where more is known than its status says."""

    failure: FailureClass
    advice: str  # in words that every key may see


@dataclass(frozen=True, slots=True)
class Ended:
    code: int | None
    signal: int | None
    oom_killed: bool | None = None  # by the kernel; None: not said
    cause: Cause | None = None

    @property
    def unseen(self) -> bool:
        """Nobody who could tell saw how."""
        return (self.code, self.signal, self.cause) == (None, None, None)

    @classmethod
    def of(cls, status: int) -> Ended:
        """From a status as returned by `wait`."""
        code = os.waitstatus_to_exitcode(status)
        return cls(code, None) if code >= 0 else cls(None, -code)


class Process:
    """A process group that we lead. `exited` resolves once; afterwards nothing is left of it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.start_time = start_time(popen.pid)
        self.exited: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._tidying: asyncio.Task[None] | None = None
        # the kernel takes ten milliseconds for it, in which others need the loop
        self._enclosing = asyncio.get_running_loop().run_in_executor(
            None, cgroups.enclose, self.pid, self.start_time
        )
        self._watch()

    @classmethod
    def spawn_held(
        cls, argv: Sequence[str], env: Mapping[str, str], log_fd: int, soft_files: int
    ) -> Process:
        """Start the gate in its own session; the engine's output goes straight to `log_fd`."""
        gate = ["/bin/sh", "-c", _GATE, "llamactl-gate", str(soft_files), *argv]
        popen = subprocess.Popen(
            gate,
            stdin=subprocess.PIPE,
            stdout=log_fd,
            stderr=log_fd,
            env=dict(env),
            start_new_session=True,
        )
        return cls(popen)

    def release(self) -> None:
        """Let the engine start, once it is in a control group of its own."""
        self._enclosing.add_done_callback(lambda _: self._let_go())

    def _let_go(self) -> None:
        pipe = self._popen.stdin
        assert pipe is not None
        try:
            pipe.write(b"go\n")
            pipe.close()
        except (BrokenPipeError, ValueError):
            pass  # it is already dead, or even reaped; `exited` reports it

    def signal(self, number: int) -> None:
        if not self.exited.done():  # until it is reaped, the group's id can't be used again
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def pids(self) -> Iterable[int]:
        return members(self.pid)

    def _watch(self) -> None:
        fd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(fd, self._reap, fd)

    def _reap(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        if rest := [pid for pid in self.pids() if pid != self.pid]:
            self._tidying = asyncio.get_running_loop().create_task(until_tidy(rest))
            self._tidying.add_done_callback(lambda _: self._over())
        else:
            self._over()

    def _over(self) -> None:
        self.signal(signal.SIGKILL)  # what the engine forked goes with it
        status = self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        self.exited.set_result(
            Ended(status, None) if status >= 0 else Ended(code=None, signal=-status)
        )


def start_time(pid: int) -> int:
    """Clock ticks since boot at which the process started; 0 if it is gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in _DEAD else 0


async def until_tidy(left: Sequence[int]) -> None:
    """Until the processes that outlive their leader have ended, or for a moment.

    Python's trackers remove shared memory when the last of its users is gone.
    """
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_TIDY_S):
            for pid in left:
                await until_gone(pid)


async def until_gone(pid: int) -> None:
    """Return once it has ended, also one that is not ours. Raises OSError if it can't be seen."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def hears(pid: int, number: int) -> bool:
    """Does it handle this signal, or wait for it? SIGKILL needs no consent."""
    if number == signal.SIGKILL:
        return True
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            name, _, mask = line.partition(":")
            if name in ("SigCgt", "SigBlk") and int(mask, 16) >> (number - 1) & 1:
                return True
    return False


def exit_of_zombie(pid: int) -> Ended | None:
    """How a process ended that nobody has reaped yet."""
    fields = _stat(pid)
    return Ended.of(int(fields[49])) if fields and fields[0] == "Z" else None


def _stat(pid: int) -> list[str]:
    """From field 3 on, the state: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
