"""Rights that were taken away, while the store is away and while llamactl is being replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.core.errors import StoreUnavailable
from llamactl.core.keys import ApiKey, PermissionMode, Revocation, Revoked
from llamactl.hot_restart import Rights
from llamactl.node import SlotFile
from llamactl.policy.access.rules import KeyRing, digest

KEY = ApiKey("k1", "n", digest("k1.secret"), PermissionMode.ALLOW_ALL, frozenset(), 0)
REVOCATION = Revocation("key", b"k1")


class Store:
    def __init__(self, *, away: bool) -> None:
        self.away = away
        self.removed: list[object] = []
        self.added: list[object] = []
        self.asked = asyncio.Event()

    async def remove(self, what: object) -> None:
        self.asked.set()
        if self.away:
            raise StoreUnavailable("away")
        self.removed.append(what)

    async def add(self, what: object) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.added.append(what)

    async def forget_expired(self, _: int) -> None: ...


class Server:
    """What of one llamactl has to do with rights."""

    def __init__(self, folder: Path, *, away: bool) -> None:
        self.store = Store(away=away)
        self.ring = KeyRing(["the management key"], [KEY])
        store = cast(Any, self.store)
        self.revocations = Revocations(self.ring, store, store, SlotFile(folder / "revocations"))
        self.sessions = Sessions(self.ring, store, self.revocations, 3600)
        self.rights = Rights(self.revocations, self.sessions)


def test_a_revocation_counts_before_anybody_wrote_it_down(tmp_path: Path) -> None:
    async def run() -> None:
        server = Server(tmp_path, away=True)
        await server.revocations.load()
        answer = asyncio.ensure_future(server.revocations.add(REVOCATION))
        await asyncio.sleep(0)
        assert server.ring.identify("k1.secret", 0) is None
        assert await answer == Revoked(persisted=False)
        server.store.away = False
        await server.revocations.written()
        assert server.store.removed == ["k1"]
        assert REVOCATION not in server.revocations
        await server.revocations.close()
        assert SlotFile(tmp_path / "revocations").open() == []

    asyncio.run(run())


def test_one_that_only_the_file_knows_reaches_the_next_store(tmp_path: Path) -> None:
    async def run() -> None:
        first = Server(tmp_path, away=True)
        await first.revocations.load()
        await first.revocations.add(REVOCATION)
        # killed
        second = Server(tmp_path, away=False)
        await second.revocations.load()
        assert second.ring.identify("k1.secret", 0) is None
        await second.revocations.write_pending()
        await second.revocations.written()
        assert second.store.removed == ["k1"]

    asyncio.run(run())


def test_what_changes_while_llamactl_is_replaced_is_handed_over(tmp_path: Path) -> None:
    async def run() -> None:
        old, new = Server(tmp_path, away=True), Server(tmp_path, away=False)
        await old.revocations.load()
        await new.revocations.load()  # before the rest happens
        cookie, _, session = await old.sessions.begin("the management key")
        await old.revocations.add(REVOCATION)
        late: list[Any] = []
        entries = old.rights.hand_over(late.append)
        await new.rights.take(entries)
        assert new.ring.identify("k1.secret", 0) is None
        assert new.ring.identify_session(cookie, 0) is not None
        assert new.store.added == [session]

        late_cookie, _, _ = await old.sessions.begin("the management key")
        assert await old.sessions.end(cookie) == Revoked(persisted=False)
        await new.rights.take(late)
        assert new.ring.identify_session(late_cookie, 0) is not None
        assert new.ring.identify_session(cookie, 0) is None
        assert new.store.removed == ["k1", digest(cookie)]
        await old.sessions.close()
        await old.revocations.close()

    asyncio.run(run())
