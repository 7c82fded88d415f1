"""What is kept between two runs of llamactl, as the use cases see it. Implemented in store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from llamactl.core.downloads import DownloadJob
from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance
from llamactl.core.keys import ApiKey, Revocation, Session
from llamactl.core.lifecycle import Lifecycle


class StoredInstance(Protocol):
    @property
    def instance(self) -> Instance: ...

    @property
    def lifecycle(self) -> Lifecycle: ...

    @property
    def last_exit(self) -> ExitReport | None: ...


class InstanceStore(Protocol):
    async def load(self) -> Sequence[StoredInstance]: ...

    async def add(self, instance: Instance) -> None: ...

    async def replace(self, instance: Instance) -> None: ...

    async def remove(self, instance_id: str) -> None: ...

    async def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> int:
        """Write a transition down, and the state it led to; returns the row's id."""
        ...

    async def add_event(self, event: InstanceEvent) -> int: ...

    async def events(
        self, instance_id: str | None, limit: int, before: int | None = None
    ) -> Sequence[InstanceEvent]:
        """The newest of an instance, or of all; oldest first."""
        ...

    async def newest_event(self) -> int:
        """The id of the newest row; 0 if there is none."""
        ...

    async def events_after(self, event_id: int, limit: int) -> Sequence[InstanceEvent]:
        """The first rows of all instances after this one."""
        ...

    async def enter_process(self, record: ProcessRecord) -> None: ...

    async def processes(self) -> Sequence[ProcessRecord]: ...

    async def forget_process(self, replica_id: str) -> None: ...


class KeyStore(Protocol):
    async def load(self) -> Sequence[ApiKey]: ...

    async def add(self, key: ApiKey) -> None: ...

    async def remove(self, key_id: str) -> None: ...

    async def touch(self, last_used: dict[str, int]) -> None: ...


class RevocationFile(Protocol):
    """Where revocations are kept that the store does not take: there is room for them already."""

    def open(self) -> Sequence[Revocation]:
        """Those in it. Prepare it for more, as far as that can be done."""
        ...

    def add(self, revocation: Revocation) -> bool:
        """Is it on the disk now? Not if the file is full, or can't be written."""
        ...

    def discard(self, revocation: Revocation) -> None:
        """The store has it."""
        ...

    def close(self) -> None: ...


class SessionStore(Protocol):
    async def load(self) -> Sequence[Session]: ...

    async def add(self, session: Session) -> None: ...

    async def remove(self, digest: bytes) -> None: ...

    async def forget_expired(self, now: int) -> None:
        """Those that expired before `now`, Unix seconds."""
        ...


class MemoryStore(Protocol):
    """What was measured, by a key that says of what."""

    async def load(self) -> Mapping[str, Mapping[str, int]]: ...

    async def save(self, key: str, measured: Mapping[str, int]) -> None: ...


class JobStore(Protocol):
    async def load(self) -> Sequence[DownloadJob]:
        """Oldest first."""
        ...

    async def save(self, job: DownloadJob) -> None: ...

    async def remove(self, job_id: str) -> None: ...
