"""`logs --follow`, from a container straight into its instance's log.

It is a process that outlives llamactl, so that nothing is lost or said twice when one llamactl
follows another. It holds a lock for as long as it lives: who finds it taken need not start one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from llamactl.node.container.client import Client
from llamactl.node.logs.log import InstanceLog
from llamactl.observe import logger

_LOOK_S, _END_LOOK_S = 1.0, 0.02
_END_S = 5.0  # in which it has to have said the rest once its container has ended
# The shell goes at once, so the follower is nobody's child, and is not left as a zombie.
_DETACHED = 'file=$1; shift; "$@" </dev/null & echo $! >"$file"'
_OVERLAP_S = 1.0  # of lines that may be said twice after a follower was killed
log = logger("node")


class LogFollower:
    """Of one container."""

    def __init__(self, client: Client, container: str, its_log: InstanceLog) -> None:
        self._client = client
        self._container = container
        self._log = its_log
        self._lock = its_log.path.parent / ".pipes" / f"{container[:12]}.followed"

    def __repr__(self) -> str:
        return f"<LogFollower {self._container[:12]}>"

    def begin(self, log_fd: int) -> None:
        """From its first line on. `log_fd`: open for writing."""
        self._begin(log_fd, "")

    async def keep(self) -> None:
        """See to it that somebody follows, until this is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if not await asyncio.to_thread(self._lives):
                await asyncio.to_thread(self._resume)

    async def ended(self) -> None:
        """Return once it has said all that the container, which has ended, said."""
        try:
            async with asyncio.timeout(_END_S):
                while await asyncio.to_thread(self._lives):  # noqa: ASYNC110  only its lock shows it
                    await asyncio.sleep(_END_LOOK_S)
        except TimeoutError:
            self._kill()
        self.forget()

    def forget(self) -> None:
        """Its container is gone."""
        self._lock.unlink(missing_ok=True)

    def _kill(self) -> None:
        """Podman's may not notice that its container is gone."""
        with suppress(OSError, ValueError):
            pid = int(self._lock.read_text(encoding="ascii"))
            pidfd = os.pidfd_open(pid)
            try:
                if self._container in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)

    def _lives(self) -> bool:
        with suppress(OSError):
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(fd)
        return False

    def _resume(self) -> None:
        """After what the log has: a line that is there may come again, but none is left out."""
        try:
            written = self._log.path.stat().st_mtime
            since = datetime.fromtimestamp(written - _OVERLAP_S, UTC).isoformat()
            log_fd = self._log.open("")[0]
        except OSError as exc:
            log.warning("log_not_followed", container=self._container[:12], reason=str(exc))
            return
        try:
            self._begin(log_fd, since.replace("+00:00", "Z"))
        finally:
            os.close(log_fd)

    def _begin(self, log_fd: int, since: str) -> None:
        try:
            self._hold(log_fd, since)
        except (OSError, subprocess.CalledProcessError) as exc:  # it is tried again
            log.warning("log_not_followed", container=self._container[:12], reason=str(exc))

    def _hold(self, log_fd: int, since: str) -> None:
        lock = os.open(self._lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            words = ["logs", "--follow", *(["--since", since] if since else []), self._container]
            argv = [self._client.program, *words]
            subprocess.run(
                ["/bin/sh", "-c", _DETACHED, "llamactl-follow", self._lock, *argv],
                stdin=subprocess.DEVNULL, stdout=log_fd, stderr=log_fd, pass_fds=(lock,),
                env=self._client.environment, start_new_session=True, check=True,
            )  # fmt: skip
        except BlockingIOError:
            pass  # another one follows
        finally:
            os.close(lock)
