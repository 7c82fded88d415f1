"""A machine that joins: it is admitted by certificates, and renews them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from llamactl.cluster.certificates import Files
from llamactl.cluster.membership import MachineFacts
from llamactl.observe import logger

_LOOK_S = 3600.0  # certificates are renewed weeks before they end
log = logger("cluster")


class Joining:
    """A `cluster.membership.Membership`."""

    def __init__(self, files: Files, facts: MachineFacts) -> None:
        self._files = files
        self._facts = facts
        self.admitted = asyncio.Event()
        if files.certificate.exists():  # by an earlier process
            self.admitted.set()

    def __repr__(self) -> str:
        return f"<Joining {'admitted' if self.admitted.is_set() else 'waiting'}>"

    async def facts(self) -> MachineFacts:
        return self._facts

    async def certificate_request(self) -> str:
        return self._files.request().decode() if self._is_due else ""

    async def until_due(self) -> None:
        while not self._is_due:  # noqa: ASYNC110 - a date is waited for
            await asyncio.sleep(_LOOK_S)

    @property
    def _is_due(self) -> bool:
        return self._files.is_due(datetime.now(UTC))

    async def admit(self, certificate: str, authority: str) -> None:
        self._files.keep(certificate.encode(), authority.encode())
        if not self.admitted.is_set():
            log.info("machine_admitted")
        self.admitted.set()
