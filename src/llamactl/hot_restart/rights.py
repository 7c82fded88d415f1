"""What only memory knows of keys and sessions goes to the new process too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.core.errors import StoreUnavailable
from llamactl.core.keys import Revocation, Session
from llamactl.link.messages import RevokedRight, Right, SignedIn

_WRITTEN_S = 10.0  # a store that is away so long calls an upgrade off
_MOST = 500  # of each kind in one message


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

    def hand_over(self, tell: Callable[[Right], None]) -> list[Right]:
        """What the store does not have yet; from now on `tell` gets every addition."""
        revoked = [_revoked(one) for one in self._revocations.pending[-_MOST:]]
        sessions = [_session(one) for one in self._sessions.unwritten[-_MOST:]]
        self._revocations.hand_over(lambda one: tell(_revoked(one)))
        self._sessions.hand_over(lambda one: tell(_session(one)))
        return [*revoked, *sessions]

    def follow(self, tell: Callable[[Right], None]) -> None:
        """Tell the old process what is revoked here: it still has that one's WebSockets."""
        self._revocations.on_add = lambda one: tell(_revoked(one))

    def heed(self, right: Right) -> None:
        """What the new process revoked."""
        if isinstance(right, RevokedRight):
            self._revocations.forget(_revocation(right))

    async def take(self, rights: Iterable[Right]) -> None:
        """What the old process hands over."""
        await asyncio.gather(*(self._take(right) for right in rights))

    async def _take(self, right: Right) -> None:
        if isinstance(right, RevokedRight):
            await self._revocations.add(_revocation(right))
            return
        value, key = bytes.fromhex(right.digest), bytes.fromhex(right.key_digest)
        await self._sessions.take(Session(value, right.key_id, key, right.expires_at))


def _revocation(right: RevokedRight) -> Revocation:
    return Revocation(right.revoked, bytes.fromhex(right.id))


def _revoked(revocation: Revocation) -> RevokedRight:
    return RevokedRight(revoked=revocation.kind, id=revocation.id.hex())


def _session(session: Session) -> SignedIn:
    return SignedIn(
        digest=session.digest.hex(),
        key_id=session.key_id,
        key_digest=session.key_digest.hex(),
        expires_at=session.expires_at,
    )
