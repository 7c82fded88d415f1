"""What a machine is asked besides its node's work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llamactl.cluster.calls.calling import Caller, remote


@dataclass(frozen=True, slots=True)
class MachineFacts:
    version: str  # of llamactl
    ram: int | None = None  # bytes that there are; None: not known
    gpus: Mapping[str, int] = field(default_factory=dict)  # bytes, by device
    labels: Mapping[str, str] = field(default_factory=dict)  # an older version says none
    gpu_ids: Mapping[str, str] = field(default_factory=dict)  # by device, as `gpus`


class Membership(Protocol):
    """Calls may be repeated."""

    async def facts(self) -> MachineFacts: ...

    async def attend(self) -> None:
        """Does not return: who asks notices when the machine's process ends."""
        ...


class LocalMember:
    """A `Membership`."""

    def __init__(self, facts: MachineFacts) -> None:
        self._facts = facts

    async def facts(self) -> MachineFacts:
        return self._facts

    async def attend(self) -> None:
        await asyncio.Future()


class RemoteMember(Caller):
    """A `Membership` at the other end of a line."""

    facts = remote(Membership.facts)
    attend = remote(Membership.attend)
