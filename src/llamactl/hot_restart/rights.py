"""What only memory knows of keys and sessions goes to the new process too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.core.errors import StoreUnavailable
from llamactl.core.keys import Revocation, Session

_WRITTEN_S = 10.0  # a store that is away so long calls an upgrade off
_MOST = 500  # of each kind in one message
Entry = Mapping[str, Any]


class Rights:
    """Those that change between the new process's look into the store and its first request."""

    def __init__(self, revocations: Revocations, sessions: Sessions) -> None:
        self._revocations = revocations
        self._sessions = sessions

    async def written(self) -> None:
        """Return when the store has all. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(_WRITTEN_S):
                await self._revocations.written()
                await self._sessions.written()
        except TimeoutError as exc:
            raise StoreUnavailable(
                "the store does not accept pending revocations and sessions"
            ) from exc

    def hand_over(self, tell: Callable[[Entry], None]) -> list[Entry]:
        """What the store does not have yet; from now on `tell` gets every addition."""
        revoked = [_revoked(one) for one in self._revocations.pending[-_MOST:]]
        sessions = [_session(one) for one in self._sessions.unwritten[-_MOST:]]
        self._revocations.hand_over(lambda one: tell(_revoked(one)))
        self._sessions.hand_over(lambda one: tell(_session(one)))
        return [*revoked, *sessions]

    def follow(self, tell: Callable[[Entry], None]) -> None:
        """Tell the old process what is revoked here: it still has that one's WebSockets."""
        self._revocations.on_add = lambda one: tell(_revoked(one))

    def heed(self, entry: Entry) -> None:
        """What the new process revoked."""
        self._revocations.forget(_revocation(entry))

    async def take(self, entries: Iterable[Entry]) -> None:
        """What the old process hands over."""
        await asyncio.gather(*(self._take(entry) for entry in entries))

    async def _take(self, entry: Entry) -> None:
        if "revoked" in entry:
            await self._revocations.add(_revocation(entry))
        else:
            digests = (bytes.fromhex(entry[name]) for name in ("digest", "key_digest"))
            await self._sessions.take(
                Session(next(digests), entry["key_id"], next(digests), entry["expires_at"])
            )


def _revocation(entry: Entry) -> Revocation:
    return Revocation(entry["revoked"], bytes.fromhex(entry["id"]))


def _revoked(revocation: Revocation) -> Entry:
    return {"revoked": revocation.kind, "id": revocation.id.hex()}


def _session(session: Session) -> Entry:
    return {
        "digest": session.digest.hex(),
        "key_id": session.key_id,
        "key_digest": session.key_digest.hex(),
        "expires_at": session.expires_at,
    }
