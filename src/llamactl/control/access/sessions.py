"""Browsers sign in with a key, and out again; the store may be away meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from llamactl.control.access.revocations import Revocations
from llamactl.control.lifecycle.events.write_buffer import WriteBuffer
from llamactl.core.errors import LlamactlError, NotLocal, StoreUnavailable, TooManySignIns
from llamactl.core.keys import Caller, Revocation, Revoked, Session
from llamactl.core.ports.stores import SessionStore
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing, digest
from llamactl.policy.access.sign_in_links import SignInLinks
from llamactl.policy.access.sign_ins import WrongSignIns, is_local

_PATIENCE_S = 2.0  # for a store that says nothing
log = logger("control")
_AT_ONCE = 4  # sign-ins of one key that the store is asked to keep
_MOST = 100  # sessions of one key; then the one that would expire first ends
_NOT_HERE = (
    "a sign-in link works only in a browser on the machine that llamactl runs on, at a loopback "
    "address and without a proxy; sign in with a key"
)
_LINK_OVER = (
    "this sign-in link has expired or was already used; run `llamactl open` for a new one, "
    "or sign in with a key"
)


class Sessions:
    """The use cases; the ring in memory is what requests are checked by."""

    def __init__(
        self, ring: KeyRing, store: SessionStore, revocations: Revocations, lasts_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ring = ring
        self._store = store
        self._revocations = revocations
        self._lasts_s = lasts_s
        self._backlog = WriteBuffer()
        self._wrong = WrongSignIns()
        self.links = SignInLinks(partial(secrets.token_urlsafe, 32), clock)
        self._turns: dict[bytes, asyncio.Semaphore] = {}  # by the key's digest
        self._in_turns: Counter[bytes] = Counter()  # and how many use it
        self._unwritten: dict[bytes, Session] = {}  # none of which is being written just now
        self._writing: bytes | None = None
        self._tell: Callable[[Session], None] | None = None

    async def load(self) -> None:
        for session in await self._store.load():
            if Revocation("session", session.digest) not in self._revocations:
                self._ring.sessions.add(session)

    async def begin(self, key: str, address: str = "") -> tuple[str, Caller, Session]:
        """The cookie's value, who signed in, and the session.

        Raises Unauthenticated, after a while that grows with each, or TooManySignIns.
        """
        self._hear(address)
        caller = self._ring.identify(key, time.time())
        if caller is None:
            unknown = self._ring.stranger("the API key is unknown, expired or revoked")
            raise await self._refused(address, unknown)
        return await self._open(caller, digest(key))

    async def begin_by_link(
        self, token: str, address: str, *, from_here: bool
    ) -> tuple[str, Caller, Session]:
        """As `begin`, by the token of a link. `from_here`: a program on this machine asks.

        Raises Unauthenticated or NotLocal, after a while that grows with each, or TooManySignIns.
        """
        self._hear(address)
        if not from_here:
            raise await self._refused(address, NotLocal(_NOT_HERE))
        key = self.links.use(token)
        if key is None or key not in self._ring.management:
            raise await self._refused(address, self._ring.stranger(_LINK_OVER))
        return await self._open(Caller(management=True), key)

    async def _open(self, caller: Caller, key: bytes) -> tuple[str, Caller, Session]:
        """`key`: its digest."""
        now, value = int(time.time()), secrets.token_urlsafe(32)
        ends = now + int(self._lasts_s)
        if caller.key is not None and caller.key.expires_at is not None:
            ends = min(ends, caller.key.expires_at)
        key_id = "" if caller.key is None else caller.key.id
        session = Session(digest(value), key_id, key, ends)
        for ended in self._ring.sessions.forget_expired(now):
            self._unwritten.pop(ended, None)
        async with self._turn(session.key_digest):
            await self._make_room(session)
            await self._add(session)
        return value, caller, session

    @asynccontextmanager
    async def _turn(self, key: bytes) -> AsyncIterator[None]:
        """Starts wait for the store as well: one key does not fill the line before it."""
        turns = self._turns.setdefault(key, asyncio.Semaphore(_AT_ONCE))
        self._in_turns[key] += 1
        try:
            async with turns:
                yield
        finally:
            self._in_turns[key] -= 1
            if not self._in_turns[key]:
                del self._in_turns[key], self._turns[key]

    def _hear(self, address: str) -> None:
        if not self._wrong.hears(address) and not is_local(address):
            raise self._too_many()

    async def _refused(self, address: str, why: LlamactlError) -> LlamactlError:
        """The error for a wrong sign-in, once its answer is due."""
        if not self._wrong.hears(address):
            return self._too_many()
        wait_s = self._wrong.add(address, time.monotonic())
        log.warning("sign_in_refused", address=address or "unknown", answered_in_s=wait_s)
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._wrong.answered(address)
        return why

    @staticmethod
    def _too_many() -> TooManySignIns:
        return TooManySignIns("too many wrong keys; retry later")

    def is_persisted(self, session: Session) -> bool:
        return session.digest not in self._unwritten and session.digest != self._writing

    async def end(self, value: str) -> Revoked:
        """Counts at once. Of no session, nothing happens."""
        session = self._ring.sessions.by_digest.get(digest(value))
        return Revoked(persisted=True) if session is None else await self._end(session)

    async def _end(self, session: Session) -> Revoked:
        if self._unwritten.pop(session.digest, None) is not None and self._tell is None:
            self._ring.sessions.remove(session.digest)  # nothing but memory ever had it
            return Revoked(persisted=True)
        return await self._revocations.add(Revocation("session", session.digest))

    async def _make_room(self, new: Session) -> None:
        """One key does not fill the memory."""
        mine = self._ring.sessions.of_key(new.key_digest)
        too_many = max(0, len(mine) - _MOST + 1)
        for session in sorted(mine, key=lambda s: s.expires_at)[:too_many]:
            await self._end(session)

    async def _add(self, session: Session) -> None:
        self._ring.sessions.add(session)
        self._unwritten[session.digest] = session
        if self._tell is not None:
            self._tell(session)
        else:
            await self._backlog.attempt(partial(self._write, session), _PATIENCE_S)

    async def _write(self, session: Session) -> None:
        if self._unwritten.pop(session.digest, None) is None:
            return  # it ended before the store ever had it
        self._writing = session.digest
        try:
            await self._store.add(session)
        except StoreUnavailable:
            if session in self._ring.sessions:
                self._unwritten[session.digest] = session
            raise
        finally:
            self._writing = None
        with suppress(StoreUnavailable):
            await self._store.forget_expired(int(time.time()))

    @property
    def unwritten(self) -> Sequence[Session]:
        return [*self._unwritten.values()]

    async def take(self, session: Session) -> None:
        """One that the former llamactl had in its memory."""
        await self._add(session)

    async def written(self) -> None:
        """Return when the store has all."""
        await self._backlog.written()

    def hand_over(self, tell: Callable[[Session], None]) -> None:
        """Another process has the store now, and those unwritten: tell it of new ones."""
        self._tell = tell
        self._backlog.drop()

    async def close(self) -> None:
        """Try a last time: they end with this process otherwise."""
        await self._backlog.close()
