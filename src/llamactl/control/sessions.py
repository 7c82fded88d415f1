"""Browsers sign in with a key, and out again."""

from __future__ import annotations

import secrets
import time

from llamactl.core.errors import StoreUnavailable, Unauthenticated
from llamactl.core.keys import Caller, Session
from llamactl.core.stores import SessionStore
from llamactl.policy.access import KeyRing, digest


class Sessions:
    """The use cases; the ring in memory is what requests are checked by."""

    def __init__(self, ring: KeyRing, store: SessionStore, lasts_s: float) -> None:
        self._ring = ring
        self._store = store
        self._lasts_s = lasts_s

    async def load(self) -> None:
        for session in await self._store.load():
            self._ring.add_session(session)

    async def begin(self, key: str) -> tuple[str, Caller, Session]:
        """The cookie's value, who signed in, and the session. Raises Unauthenticated."""
        now = int(time.time())
        caller = self._ring.identify(key, now)
        if caller is None:
            raise Unauthenticated("the API key is unknown, expired or revoked")
        value = secrets.token_urlsafe(32)
        ends = now + int(self._lasts_s)
        if caller.key is not None and caller.key.expires_at is not None:
            ends = min(ends, caller.key.expires_at)
        key_id = "" if caller.key is None else caller.key.id
        session = Session(digest(value), key_id, digest(key), ends)
        await self._store.forget_expired(now)
        await self._store.add(session)
        self._ring.add_session(session)
        return value, caller, session

    async def end(self, value: str) -> None:
        """Counts at once. Of no session, nothing happens."""
        session = self._ring.remove_session(digest(value))
        if session is None:
            return
        try:
            await self._store.remove(session.digest)
        except StoreUnavailable:
            self._ring.add_session(session)  # it would come back with the next start
            raise
