"""The data directory: its lock, its key, and where its owner serves."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

import orjson

from llamactl.config import Settings, warning_of
from llamactl.core.errors import DataDirUnusable
from llamactl.node.host.private_file import write_private


class DataDir:
    """The data directory, owned by one llamactl at a time: a lock says which."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.path = settings.data
        self._lock: int | None = None
        self.weak_key = ""  # what to say of the kept one

    def open(self, *, locked: bool = True) -> None:
        """Create what is missing and take the lock. Raises DataDirUnusable.

        `locked`: False where the lock will be handed over, by `own`.
        """
        try:
            self._prepare()
            if not locked:
                return
            self._lock = self._open_lock()
        except OSError as exc:
            raise DataDirUnusable(
                f"cannot use data_dir {self.path}: {exc.strerror or exc}; "
                "choose another with data_dir or LLAMACTL_DATA_DIR"
            ) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise DataDirUnusable(
                f"data_dir {self.path} is in use by another llamactl (pid {owner or 'unknown'}); "
                "stop that one, or choose another data_dir"
            ) from exc
        self.own(self._lock)

    def _open_lock(self) -> int:
        try:
            return os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            if not self.lock_file.exists():
                raise
            return os.open(self.lock_file, os.O_RDONLY)  # it locks all the same

    def own(self, lock: int) -> None:
        """Be the owner, by a lock that is held."""
        self._lock = lock
        with suppress(OSError):  # a full disk, say: the lock is what counts, our pid is for people
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)

    @property
    def lock_file(self) -> Path:
        return self.path / "llamactl.lock"

    @property
    def revocations_file(self) -> Path:
        return self.path / "revocations"

    @property
    def lock(self) -> int:
        assert self._lock is not None
        return self._lock

    def _prepare(self) -> None:
        if self._settings.instances.auto_create_dirs:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._settings.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._settings.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not self.path.is_dir():
            raise FileNotFoundError(2, "it does not exist, and auto_create_dirs is off")

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    @property
    def key_file(self) -> Path:
        return self.path / "management_key"

    def management_keys(self) -> list[str]:
        """Those of the settings, else one that is made once and kept."""
        given = [key for key in self._settings.auth.management_keys if key]
        return given or [self._kept_key()]

    def _kept_key(self) -> str:
        """Raises DataDirUnusable, or InvalidConfig for one that can be guessed."""
        try:
            if self.key_file.exists():
                kept = self.key_file.read_text(encoding="utf-8", errors="replace").strip()
                if kept:  # else it was made on a full disk
                    self.weak_key = warning_of(kept, str(self.key_file))
                    return kept
            made = f"llamactl-management-{secrets.token_urlsafe(32)}"
            write_private(self.key_file, f"{made}\n".encode(), synced=True)
        except OSError as exc:
            raise DataDirUnusable(
                f"cannot write the management key to {self.key_file}: {exc.strerror or exc}; free "
                "some disk space, or set auth.management_keys"
            ) from exc
        return made

    def say_where(self, url: str) -> None:
        """Tell those who look for us on this machine."""
        write_private(self.path / "server.json", orjson.dumps({"url": url, "pid": os.getpid()}))
