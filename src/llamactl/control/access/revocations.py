"""Rights that were taken away: gone at once, and for good, whatever the store does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from llamactl.control.lifecycle.events.write_buffer import WriteBuffer
from llamactl.core.keys import Revocation, Revoked
from llamactl.core.ports.stores import KeyStore, RevocationFile, SessionStore
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing

_PATIENCE_S = 2.0  # for a store that says nothing
log = logger("control")


class Revocations:
    """The ring forgets first; the file remembers until the store has forgotten too."""

    def __init__(
        self, ring: KeyRing, keys: KeyStore, sessions: SessionStore, file: RevocationFile
    ) -> None:
        self._ring = ring
        self._keys = keys
        self._sessions = sessions
        self._file = file
        self._backlog = WriteBuffer()
        self._pending: dict[Revocation, bool] = {}  # and whether the file has it
        self._tell: Callable[[Revocation], None] | None = None
        self.on_add: Callable[[Revocation], None] | None = None
        self.on_key: Callable[[str], None] = lambda _: None  # called with the id of a revoked one

    def __repr__(self) -> str:
        return f"<Revocations {len(self._pending)} pending>"

    def __contains__(self, revocation: object) -> bool:
        """Is it one that the store does not have yet?"""
        return revocation in self._pending

    @property
    def pending(self) -> Sequence[Revocation]:
        return [*self._pending]

    async def load(self) -> None:
        """Take in those that the store never got, before keys and sessions are."""
        for revocation in await asyncio.to_thread(self._file.open):
            self.forget(revocation)
            self._pending[revocation] = True

    async def add(self, revocation: Revocation) -> Revoked:
        if revocation not in self._pending:
            self.forget(revocation)
            self._pending[revocation] = False
            if self.on_add is not None:
                self.on_add(revocation)
            if self._tell is not None:
                self._tell(revocation)
                return Revoked(persisted=False)
            self._pending[revocation] = await asyncio.to_thread(self._file.add, revocation)
            if await self._backlog.attempt(partial(self._write, revocation), _PATIENCE_S):
                return Revoked(persisted=True)
        if survives := self._pending.get(revocation, True):
            log.warning("revocation_waits_for_the_store", kind=revocation.kind)
        else:
            log.warning("revocation_in_memory_only", kind=revocation.kind)
        return Revoked(persisted=revocation not in self._pending, survives_restart=survives)

    async def write_pending(self) -> None:
        """Tell the store what it never got."""
        for revocation in self.pending:
            await self._backlog.attempt(partial(self._write, revocation), 0.0)

    def forget(self, revocation: Revocation) -> None:
        """It counts here; that it is kept is another's work."""
        if revocation.kind == "key":
            self._ring.remove(revocation.id.decode())
            self.on_key(revocation.id.decode())
        else:
            self._ring.sessions.remove(revocation.id)

    async def _write(self, revocation: Revocation) -> None:
        if revocation.kind == "key":
            await self._keys.remove(revocation.id.decode())
        else:
            await self._sessions.remove(revocation.id)
        self._pending.pop(revocation, None)
        await asyncio.to_thread(self._file.discard, revocation)

    async def written(self) -> None:
        """Return when the store has all."""
        await self._backlog.written()

    def hand_over(self, tell: Callable[[Revocation], None]) -> None:
        """Another process has the file and the store now, and those pending: tell it the others."""
        self._tell = tell
        self._backlog.drop()
        self._file.close()

    async def close(self) -> None:
        """Try a last time; the next start finds in the file what can't be written."""
        await self._backlog.close()
        self._file.close()
