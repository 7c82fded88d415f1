"""Wrong sign-ins wait ever longer, take no more memory than is set, and lock nobody out."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.core.errors import StoreUnavailable, TooManySignIns, Unauthenticated
from llamactl.core.keys import Revocation, Session
from llamactl.policy.access.rules import KeyRing, digest
from llamactl.policy.access.sign_ins import (
    FORGOTTEN_S,
    LONGEST_S,
    MOST_ADDRESSES,
    MOST_WAITING_OF_ONE,
    WrongSignIns,
    is_local,
)

ELSEWHERE, HERE = "192.0.2.1", "127.0.0.1"


def test_each_wrong_one_of_an_address_waits_longer_up_to_a_limit() -> None:
    wrong = WrongSignIns()
    waits = [wrong.add(ELSEWHERE, 0.0) for _ in range(10)]

    assert waits == sorted(waits) and waits[0] < waits[3] < waits[-1] == LONGEST_S
    assert wrong.add("192.0.2.2", 0.0) == waits[0]
    assert wrong.add(ELSEWHERE, FORGOTTEN_S + 1) == waits[0]


def test_many_addresses_together_wait_longer_too() -> None:
    wrong = WrongSignIns()
    waits = [wrong.add(f"198.51.{n >> 8}.{n & 255}", 0.0) for n in range(400)]

    assert waits[-1] > waits[0]


def test_the_addresses_that_are_remembered_are_bounded() -> None:
    wrong = WrongSignIns()
    for number in range(MOST_ADDRESSES * 3):
        wrong.add(f"2001:db8:{number:x}::1", 0.0)
        wrong.answered(f"2001:db8:{number:x}::1")

    assert repr(wrong) == f"<WrongSignIns {MOST_ADDRESSES} addresses, 0 waiting>"


def test_a_network_of_version_6_is_one_address() -> None:
    wrong = WrongSignIns()
    first = wrong.add("2001:db8::1", 0.0)

    assert wrong.add("2001:db8::2", 0.0) > first


@pytest.mark.parametrize(
    ("address", "local"),
    [(HERE, True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True), (ELSEWHERE, False)],
)
def test_what_is_this_machine(address: str, local: bool) -> None:
    assert is_local(address) is local


class Store:
    """One that is away."""

    def __init__(self) -> None:
        self.away = True
        self.sessions: list[Session] = []

    async def add(self, session: Session) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.sessions.append(session)

    async def remove(self, _: object) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def forget_expired(self, _: int) -> None:
        raise StoreUnavailable("away")


class File:
    def add(self, _: Revocation) -> bool:
        return True

    def discard(self, _: Revocation) -> None: ...

    def close(self) -> None: ...


def signing_in(store: Store, ring: KeyRing) -> Sessions:
    revocations = Revocations(ring, cast(Any, store), cast(Any, store), cast(Any, File()))
    return Sessions(ring, cast(Any, store), revocations, 3600)


def test_the_right_key_of_this_machine_is_heard_while_others_guess(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held = asyncio.Event()

    async def sleep(_: float) -> None:
        await held.wait()

    async def run() -> None:
        store = Store()
        store.away = False
        sessions = signing_in(store, KeyRing(["the right one"]))
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", sleep)
            guesses = [
                asyncio.ensure_future(sessions.begin("wrong", address))
                for address in (HERE, ELSEWHERE)
                for _ in range(MOST_WAITING_OF_ONE + 2)
            ]
            done, waiting = await asyncio.wait(guesses, timeout=0)
            assert (len(done), len(waiting)) == (4, 2 * MOST_WAITING_OF_ONE)
            assert all(isinstance(one.exception(), TooManySignIns) for one in done)
            await sessions.begin("the right one", HERE)
            await sessions.begin("the right one", "203.0.113.1")
            with pytest.raises(TooManySignIns):
                await sessions.begin("the right one", ELSEWHERE)
            held.set()
            for guess in waiting:
                with pytest.raises(Unauthenticated):
                    await guess
        await sessions.begin("the right one", ELSEWHERE)

    asyncio.run(run())
    assert "sign_in_refused" in caplog.text and "wrong" not in caplog.text


def test_one_key_does_not_fill_the_memory_with_sessions() -> None:
    async def run() -> int:
        store, ring = Store(), KeyRing(["the right one"])
        sessions = signing_in(store, ring)
        values = [(await sessions.begin("the right one"))[0] for _ in range(150)]
        store.away = False
        await sessions.close()
        assert ring.identify_session(values[-1], 0) is not None
        return sum(digest(value) in ring.sessions.by_digest for value in values)

    assert asyncio.run(run()) == 100


def test_one_key_does_not_fill_the_line_before_the_store() -> None:
    """Engines that start wait in it as well."""

    class SlowStore(Store):
        def __init__(self) -> None:
            super().__init__()
            self.away = False
            self.asked: list[Session] = []
            self.let_go, self.other_came = asyncio.Event(), asyncio.Event()

        async def add(self, session: Session) -> None:
            self.asked.append(session)
            if session.key_digest == digest("other"):
                self.other_came.set()
            await self.let_go.wait()

    async def run() -> None:
        store = SlowStore()
        sessions = signing_in(store, KeyRing(["one", "other"]))
        many = [asyncio.ensure_future(sessions.begin("one")) for _ in range(50)]
        await asyncio.wait(many, timeout=0)
        await asyncio.sleep(0)
        other = asyncio.ensure_future(sessions.begin("other"))
        await store.other_came.wait()
        assert sum(asked.key_digest == digest("one") for asked in store.asked) == 4
        store.let_go.set()
        await asyncio.gather(*many, other)
        assert len(store.asked) == 51
        assert not sessions._turns and not sessions._in_turns

    asyncio.run(run())
