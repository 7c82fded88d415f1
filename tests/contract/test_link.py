"""The link between two processes of ours, without the processes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import orjson
import pytest

from llamactl.core.errors import LlamactlError, NoCapacity, ShuttingDown
from llamactl.core.exits import Aftermath
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.link import Channel, ControlEnd, LeaseNews, ProxyEnd
from llamactl.link.control_end import Deciding
from llamactl.link.messages import (
    AftermathAsked,
    ClientGiven,
    Granted,
    LeaseAsked,
    LeasesChanged,
    Left,
    Released,
    RevokedRight,
    Right,
    RightChanged,
    SignedIn,
    Unknown,
    encode,
    heard_by_control,
    heard_by_proxy,
)
from llamactl.proxy import LeaseBook

READY = ReadyInstance("a", "127.0.0.1", 1, "key", 1, "vllm")
WITHIN_S = 10


class Grants:
    """An activator that grants whatever is asked for, except "full" and "odd"."""

    def __init__(self, leases: LeaseBook) -> None:
        self._leases = leases

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        if name == "full":
            error = NoCapacity("no room", details={"limit": 1}, private={"line": "x"})
            error.retry_after = 2.5
            raise error
        if name == "odd":
            raise ValueError("a fault of ours")
        return self._leases.grant(name, READY)

    def ahead(self, name: str, caller: Caller) -> int:
        return 2

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        return Aftermath(wanted=True, crashed=generation == 1, summary=name)


class Other:
    """What the end that decides has come to know."""

    def __init__(self) -> None:
        self.leases = LeaseBook()
        self.clients: list[bytes] = []
        self.rights: list[Right] = []

    async def accept(self, client: socket.socket, held: bytes) -> None:
        client.close()
        self.clients.append(held)


Talk = Callable[[Channel, Other], Awaitable[None]]


def with_control(talk: Talk) -> None:
    """`talk`: over the end of the one that relays."""

    async def run() -> None:
        mine, theirs = map(Channel, Channel.pair())
        other = Other()
        end = ControlEnd(theirs, other.leases)
        deciding = Deciding(
            cast(Any, Grants(other.leases)), cast(Any, None), other.accept, other.rights.append
        )
        serving = asyncio.create_task(end.serve(deciding))
        async with asyncio.timeout(WITHIN_S):
            await talk(mine, other)
            mine.close()
            await serving
        assert other.leases.total() == 0

    asyncio.run(run())


async def heard(channel: Channel, what: str) -> dict[str, Any]:
    while True:
        said: dict[str, Any] = orjson.loads((await channel.receive())[0])
        if said["what"] == what:
            return said


async def ask(channel: Channel, number: int) -> int:
    channel.send(LeaseAsked(id=number, name="a", management=True, key=None))
    return int((await heard(channel, "ready"))["grant"])


def test_a_grant_counts_until_it_is_released() -> None:
    async def talk(mine: Channel, other: Other) -> None:
        first = await ask(mine, 1)
        await ask(mine, 2)
        mine.send(LeasesChanged(counts={"a": 1}))  # of its own
        mine.send(Released(grant=first))
        mine.send(Released(grant=first))
        await ask(mine, 3)  # all before it is heard

        assert other.leases.count("a") == 3  # its own, and two grants; none when it is gone

    with_control(talk)


def test_what_is_asked_and_told_arrives_as_it_was() -> None:
    async def talk(mine: Channel, other: Other) -> None:
        end = ProxyEnd(mine)
        lease = await end.lease("a", ANYONE)
        assert (lease.endpoint, lease.ahead) == (READY, 2)
        assert other.leases.count("a") == 1
        assert await end.aftermath("a", 1) == Aftermath(wanted=True, crashed=True, summary="a")
        with pytest.raises(LlamactlError) as refused:
            await end.lease("full", ANYONE)
        error = refused.value
        assert (error.message, error.code, error.status, error.retry_after) == (
            "no room", NoCapacity.code, NoCapacity.status, 2.5
        )  # fmt: skip
        assert (error.details, error.private) == ({"limit": 1}, {"line": "x"})
        with pytest.raises(LlamactlError, match="internal error in llamactl"):
            await end.lease("odd", ANYONE)
        rights: list[Right] = [
            RevokedRight(revoked="key", id="6b"),
            SignedIn(digest="aa", key_id="k", key_digest="bb", expires_at=5),
        ]
        held = LeaseBook()
        held.on_change = LeaseNews(held.count, end.tell_leases).note
        held.take("b")
        held.take("b")
        for right in rights:
            end.tell_right(right)
        lease.release()
        await asyncio.sleep(0)
        await end.aftermath("a", 2)  # all before it is heard
        assert other.leases.counts() == {"b": 2}
        assert other.rights == rights

    with_control(talk)


def test_a_grant_that_comes_after_its_request_has_left_is_released() -> None:
    async def run() -> None:
        old, new = map(Channel, Channel.pair())
        asked = asyncio.create_task(ProxyEnd(old).lease("a", ANYONE))
        number = (await heard(new, "lease"))["id"]
        asked.cancel()
        await heard(new, "leave")
        new.send(
            Granted(id=number, name="a", host="127.0.0.1", port=1, key="", generation=1, grant=7)
        )
        assert (await heard(new, "release"))["grant"] == 7
        new.close()

    asyncio.run(asyncio.wait_for(run(), WITHIN_S))


def test_a_client_that_comes_without_its_socket_ends_nothing_else() -> None:
    async def talk(mine: Channel, other: Other) -> None:
        mine.send(ClientGiven(held=""))
        one, outside = socket.socketpair()
        mine.send(ClientGiven(held="R0VU"), [one.detach()])
        await ask(mine, 1)
        outside.close()

        assert other.clients == [b"GET"]

    with_control(talk)


def test_who_asks_hears_that_the_other_end_is_gone() -> None:
    async def run() -> None:
        mine, theirs = map(Channel, Channel.pair())
        end = ProxyEnd(mine)
        asked = asyncio.create_task(end.lease("a", ANYONE))
        await heard(theirs, "lease")
        theirs.close()
        for waits in (asked, end.lease("a", ANYONE), end.aftermath("a", 1)):
            with pytest.raises(ShuttingDown):
                await asyncio.wait_for(waits, WITHIN_S)
        assert await end.steps.get() is None

    asyncio.run(run())


def test_what_was_said_before_the_end_is_heard_even_if_the_other_was_not_heard() -> None:
    async def run() -> int:
        old, new = map(Channel, Channel.pair())
        for number in range(200):
            new.send(Released(grant=number))
            old.send(ClientGiven(held=""), [os.open(os.devnull, os.O_RDONLY)])
        hearing = asyncio.create_task(_count(new))
        await old.sent()
        old.close()
        return await hearing

    assert asyncio.run(run()) == 200


async def _count(channel: Channel) -> int:
    count = 0
    try:
        while True:
            _, fds = await channel.receive()
            for fd in fds:
                os.close(fd)
            count += 1
    except ConnectionError:
        return count


# Other versions.


def newer(message: Any) -> bytes:
    """With a field that this version does not know."""
    return orjson.dumps({**orjson.loads(encode(message)), "from_later": {"a": [1]}})


def test_a_field_of_a_later_version_changes_nothing() -> None:
    asked = AftermathAsked(id=1, name="a", generation=2)
    granted = Granted(id=1, grant=2, name="a", host="h", port=3, key="k", generation=4)
    assert heard_by_control(newer(asked)) == asked
    assert heard_by_proxy(newer(granted)) == granted
    right = RightChanged(right=RevokedRight(revoked="session", id="ab"))
    assert heard_by_control(newer(right)) == heard_by_proxy(newer(right)) == right


def test_fields_that_an_earlier_version_did_not_have_have_a_default() -> None:
    assert heard_by_control(b'{"what":"leases","counts":{"a":1}}') == LeasesChanged(counts={"a": 1})
    heard = heard_by_proxy(
        b'{"what":"ready","id":1,"grant":2,"name":"a","host":"h","port":3,"key":"","generation":4}'
    )
    assert isinstance(heard, Granted) and heard.backend == ""


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'"lease"', b"{}", b'{"what":7}', b'{"what":"sing"}',
        b'{"what":"lease"}', b'{"what":"leave","id":"x"}', b'{"what":"release","grant":null}',
        b'{"what":"leases","counts":{"a":-1}}', b'{"what":"leases","counts":{"a":99999999}}',
        b'{"what":"leases","counts":[["a",1]]}', b'{"what":"right","right":{}}',
        b'{"what":"right","right":{"revoked":"all","id":"00"}}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_left_out_and_the_rest_is_heard(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(heard_by_control(data), Unknown)
    assert isinstance(heard_by_proxy(data), Unknown)

    async def talk(mine: Channel, other: Other) -> None:
        if data:
            mine.post(data)
        await ask(mine, 1)
        assert other.leases.total() == 1

    with_control(talk)
    assert not data or "message_not_understood" in caplog.text


def test_a_request_of_a_later_version_is_refused_and_not_left_waiting() -> None:
    async def talk(mine: Channel, other: Other) -> None:
        mine.post(b'{"what":"sing","id":5,"song":"any"}')
        refused = await heard(mine, "refused")
        assert (refused["id"], refused["code"]) == (5, "not_found")
        mine.send(Left(id=5))  # of whom nobody knows
        await ask(mine, 6)

    with_control(talk)


def test_descriptors_of_a_message_that_is_not_understood_are_closed() -> None:
    async def talk(mine: Channel, other: Other) -> None:
        one, kept = socket.socketpair()
        mine.post(b'{"what":"sing"}', [one.detach()])
        await ask(mine, 1)
        kept.settimeout(WITHIN_S)
        assert kept.recv(1) == b"", "somebody still has the other end"
        kept.close()

    with_control(talk)


def test_a_secret_that_is_not_understood_is_not_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(mine: Channel, other: Other) -> None:
        mine.post(b'{"what":"lease","id":{"key":"s3cret"},"name":"a","management":true}')
        await ask(mine, 1)

    with_control(talk)
    assert "message_not_understood" in caplog.text and "s3cret" not in caplog.text


def test_a_message_that_is_larger_than_a_socket_takes_arrives_with_its_descriptors() -> None:
    async def run() -> None:
        mine, theirs = map(Channel, Channel.pair())
        read, write = os.pipe()
        held = "a" * (3 << 20)
        mine.send(ClientGiven(held=held), [read])
        mine.send(Released(grant=1))
        async with asyncio.timeout(WITHIN_S):
            data, fds = await theirs.receive()
            following = await theirs.receive()
        os.write(write, b"x")

        assert heard_by_control(data) == ClientGiven(held=held)
        assert [os.read(fd, 1) for fd in fds] == [b"x"]
        assert heard_by_control(following[0]) == Released(grant=1)
        for end in (mine, theirs):
            end.close()
        for fd in (*fds, write):
            os.close(fd)

    asyncio.run(run())


def test_leases_are_reported_at_most_so_often_but_never_left_out() -> None:
    async def run() -> None:
        book, said = LeaseBook(), list[dict[str, int]]()
        told = asyncio.Event()

        def tell(counts: Mapping[str, int]) -> None:
            said.append(dict(counts))
            told.set()

        news = LeaseNews(book.count, tell, 0.05)
        book.on_change = news.note
        leases = [book.grant("a", READY) for _ in range(3)]
        await told.wait()
        told.clear()
        for lease in leases[:2]:
            lease.release()
            await asyncio.sleep(0)
        assert said == [{"a": 3}]  # the next one is not due yet
        async with asyncio.timeout(WITHIN_S):
            await told.wait()
        assert said == [{"a": 3}, {"a": 1}]

        leases[2].release()
        news.send()
        assert said[-1] == {"a": 0}

    asyncio.run(run())
