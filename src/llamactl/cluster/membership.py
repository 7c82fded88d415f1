"""What a machine is asked besides its node's work, by the head that admits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llamactl.cluster.calls.calling import Caller, remote


@dataclass(frozen=True, slots=True)
class MachineFacts:
    version: str  # of llamactl
    ram: int | None = None  # bytes that there are; None: not known
    gpus: Mapping[str, int] = field(default_factory=dict)  # bytes, by device


class Membership(Protocol):
    """Calls may be repeated."""

    async def facts(self) -> MachineFacts: ...

    async def certificate_request(self) -> str:
        """In PEM, for the authority of the cluster to sign; "" while it needs none."""
        ...

    async def until_due(self) -> None:
        """Return when another certificate has to be asked for."""
        ...

    async def admit(self, certificate: str, authority: str) -> None:
        """What was signed, and by whom. From the first time on its node can be asked."""
        ...


class RemoteMember(Caller):
    """A `Membership` at the other end of a line."""

    facts = remote(Membership.facts)
    certificate_request = remote(Membership.certificate_request)
    until_due = remote(Membership.until_due)
    admit = remote(Membership.admit)
