"""A proxy process and the one that decides, in one loop: what they know of each other."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from llamactl.config import Settings, SettingsHolder
from llamactl.core.exits import Aftermath
from llamactl.core.keys import ANYONE, ApiKey, Caller, PermissionMode
from llamactl.core.lease import Lease
from llamactl.core.ports.context_use import SentRequest
from llamactl.core.ports.request_log import LoggedRequest, RequestsNow
from llamactl.core.routes import ReadyInstance, Route, RouteTable
from llamactl.link.control_end import Deciding
from llamactl.link.messages import ClientGiven
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import Access, LeaseBook, ProxyServer
from llamactl.proxy_process.deciding import peer as peer_module
from llamactl.proxy_process.deciding.hearing import Hearing
from llamactl.proxy_process.deciding.knowledge import Knowledge
from llamactl.proxy_process.deciding.peer import Peer
from llamactl.proxy_process.deciding.peers import Peers
from llamactl.proxy_process.deciding.supervisor import Supervisor
from llamactl.proxy_process.engine_paths import engine_paths
from llamactl.proxy_process.given import Given
from llamactl.proxy_process.meeting_place import MeetingPlace
from llamactl.proxy_process.open_counts import OpenCounts
from llamactl.proxy_process.relaying.process import ProxyProcess
from support.control_path import settle
from support.waits import WITHIN_S

READY = ReadyInstance("one", "127.0.0.1", 9, "engine-key", 1, "llama_cpp")
SERVED = Route("id-1", "one", 1, "llama_cpp", READY)
GONE = Route("id-1", "one", 1, "llama_cpp", None)
MINE = ApiKey("llamactl-1", "mine", b"d" * 32, PermissionMode.ALLOW_ALL, frozenset(), 1)


class Control:
    """The deciding process, as far as proxy processes see it; also their activator."""

    def __init__(self) -> None:
        self.leases, self.ring, self.peers = LeaseBook(), KeyRing(["management"]), Peers()
        self.asked: list[str] = []
        self.wanted = True
        self.grants = asyncio.Event()
        self.clients: list[bytes] = []
        access = Access.of(Settings(), self.ring, PageTickets(lambda: "ticket"))
        self.proxy = ProxyServer(
            Settings(), access=access, leases=self.leases, activator=cast(Any, self),
            paths=engine_paths(), busy_slots=cast(Any, None),
        )  # fmt: skip
        self._hearing = Hearing(self.peers, self.ring, self.leases, self.proxy)
        self.knowledge = Knowledge(
            self.ring, self.leases.contexts, self.peers.send, lambda: None, hides_cached=False
        )
        self.leases.agreed = self.peers.agree
        self._serving: list[asyncio.Task[None]] = []

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        self.asked.append(name)
        await self.grants.wait()
        return self.leases.grant("id-1", READY)

    def ahead(self, name: str, caller: Caller) -> int:
        return 3

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        return Aftermath(wanted=self.wanted)

    async def accept(self, client: socket.socket, held: bytes) -> None:
        client.close()
        self.clients.append(held)

    async def decide(self, place: MeetingPlace) -> Peer:
        peer = Peer("one", 0, place.connect("one"), self.leases)
        await peer.adopt()
        deciding = Deciding(
            cast(Any, self), self.ring, self.accept, lambda right: None,
            hear=lambda news, fds: self._hearing.hear(peer, news, fds),
        )  # fmt: skip
        peer.is_informed = True
        for message in self.knowledge.all():
            peer.send(message)
        self.peers.add(peer)
        self._serving.append(asyncio.create_task(peer.link.serve(deciding)))
        return peer

    async def end(self) -> None:
        for peer in self.peers:
            peer.ended()
        await asyncio.gather(*self._serving)


class Site:
    def __init__(self, folder: Path) -> None:
        self.place = MeetingPlace(folder / "proxies")
        self.listener = socket.create_server(("127.0.0.1", 0))
        given = Given(
            self.place.open("one"), self.listener.dup(), OpenCounts.create(1), Settings(), 0, 1
        )
        self.given = given
        self.process = ProxyProcess(given)
        self.leases = self.process._proxy.relay.leases
        self.running = asyncio.create_task(self.process.run())

    async def end(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        await self.process._proxy.close(0.0)
        asyncio.get_running_loop().remove_reader(self.given.meeting.fileno())
        for one in (self.given.meeting, self.given.listener, self.listener):
            one.close()
        os.close(self.given.counts)


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    there = Site(folder)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield there
    finally:
        await there.end()


async def test_a_drain_before_clients_are_served_asks_those_that_were_left(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        supervisor = Supervisor(
            SettingsHolder(Settings()), {}, there.place, control.ring, control.leases,
            control.proxy, cast(Any, control),
        )  # fmt: skip
        await supervisor.adopt()
        lease = there.leases.grant("id-1", READY)  # after it said which ones it has
        draining = asyncio.create_task(control.leases.drained("id-1"))
        await settle()
        assert not draining.done()

        await supervisor.listen(there.listener.dup())
        await supervisor.peers.agree()
        await settle()
        assert not draining.done(), "its lease is still held"
        lease.release()
        await draining
        for peer in supervisor.peers:
            peer.ended()
        await asyncio.gather(*supervisor._tasks)
        await control.proxy.close(0.0)


async def test_a_drain_sees_a_lease_that_was_not_reported_yet(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        control.knowledge.publish(RouteTable().with_route(SERVED))
        await control.decide(there.place)
        await control.peers.agree()
        there.leases.grant("id-1", READY).release()
        await control.peers.agree()
        lease = there.leases.grant("id-1", READY)  # too soon after another report to be reported
        assert control.leases.count("id-1") == 0
        control.knowledge.publish(RouteTable().with_route(GONE))

        draining = asyncio.create_task(control.leases.drained("id-1"))
        await control.peers.agree()
        assert control.leases.count("id-1") == 1
        assert there.process._mirror.table.routes["one"].ready is None
        assert not draining.done()

        lease.release()
        await draining
        assert control.leases.total() == 0
        await control.end()


async def test_who_waits_for_an_instance_is_asked_for_again_of_the_next_one(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        table = RouteTable().with_route(GONE)
        first, second = Control(), Control()
        for control in (first, second):
            control.knowledge.publish(table)
        await first.decide(there.place)
        await first.peers.agree()
        waits = asyncio.create_task(there.process._bridge.lease("one", ANYONE))
        while not first.asked:
            await first.peers.agree()
        await first.end()

        await second.decide(there.place)
        second.grants.set()
        lease = await waits
        await second.peers.agree()

        assert (first.asked, second.asked) == (["one"], ["one"])
        assert (first.leases.total(), second.leases.total()) == (0, 1)
        lease.release()
        await second.leases.drained("id-1")
        await second.end()


async def test_who_waited_hears_how_many_came_first(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        control.wanted = False  # it waits once
        control.knowledge.publish(RouteTable().with_route(GONE))
        await control.decide(there.place)
        await control.peers.agree()
        reader, writer = await asyncio.open_connection(*there.listener.getsockname())
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer management"
        body = '{"model": "one"}'
        sized = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\n{sized}\r\n\r\n{body}".encode())
        while not control.asked:
            await control.peers.agree()
        control.grants.set()
        answer = await reader.readuntil(b"\r\n\r\n")  # of ours: no engine listens there
        writer.close()
        await writer.wait_closed()
        await control.end()

        assert control.asked == ["one"]
        assert b"\r\nx-queue-position: 3\r\n" in answer


async def test_what_is_held_counts_with_the_one_that_came_last(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        first, second = Control(), Control()
        held = [there.leases.grant("id-1", READY) for _ in range(3)]
        await first.decide(there.place)
        assert first.leases.count("id-1") == 3
        await second.decide(there.place)
        await asyncio.gather(*first._serving)  # its link has ended

        assert (first.leases.total(), second.leases.count("id-1")) == (0, 3)
        for lease in held:
            lease.release()
        await second.leases.drained("id-1")
        await second.end()


async def test_nobody_waits_for_the_agreement_of_one_that_is_gone() -> None:
    """It ended since it was decided to ask it."""
    ours, theirs = socket.socketpair()
    with theirs:
        peers, peer = Peers(), Peer("one", 0, ours, LeaseBook())
        peers.add(peer)
        agreed = asyncio.create_task(peers.agree())
        asyncio.get_running_loop().call_soon(peer.ended)
        async with asyncio.timeout(WITHIN_S):
            await agreed
        assert await peer.served("id-1", 1) == ()


async def test_a_key_is_known_until_it_is_revoked(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        await control.decide(there.place)
        ring = there.process._mirror.ring
        control.ring.add(MINE)
        await control.peers.agree()
        assert ring.get(MINE.id) == MINE
        assert ring.management == control.ring.management

        version = ring.version
        control.ring.remove(MINE.id)
        await control.peers.agree()
        assert ring.get(MINE.id) is None
        assert ring.version > version
        await control.end()


async def test_what_a_process_shows_is_known_to_the_others(tmp_path: Path) -> None:
    """An engine that is silent, and a request that may have killed one."""
    for name in "ab":
        (tmp_path / name).mkdir()
    async with site(tmp_path / "a") as one, site(tmp_path / "b") as other:
        control = Control()
        for there in (one, other):
            await control.decide(there.place)
        one.leases.record_timeout("id-1")
        one.process._proxy.relay.casualties.on_blame(b"request", ("id-1", 1))  # type: ignore[misc]
        await control.peers.agree()
        await control.peers.agree()

        assert control.leases.consecutive_timeouts("id-1") == 1
        assert other.leases.consecutive_timeouts("id-1") == 1
        for relay in (control.proxy.relay, other.process._proxy.relay):
            assert relay.casualties.suspects.is_suspect(b"request", relay.now())

        other.leases.answered("id-1")
        other.process._proxy.relay.casualties.clear(b"request")
        await control.peers.agree()
        await control.peers.agree()
        assert one.leases.consecutive_timeouts("id-1") == 0
        assert not one.process._proxy.relay.suspects
        await control.end()


async def test_the_last_request_and_its_keys_are_gathered(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        await control.decide(there.place)
        contexts = there.leases.contexts
        contexts.used_by("id-1", "key-1")
        contexts.sent("id-1", SentRequest(5.0, [b'{"a"', b": 1}"], b"answer"))

        last = await control.leases.contexts.gathered("id-1")

        assert last is not None
        assert (last.at, b"".join(last.body), last.answer) == (5.0, b'{"a": 1}', b"answer")
        assert control.leases.contexts.users("id-1") == {"key-1"}
        assert await control.leases.contexts.gathered("id-2") is None
        await control.end()


async def test_what_was_counted_is_counted_once(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        await control.decide(there.place)
        meter = there.process._proxy.meters().of("id-1")
        meter.statuses[200] += 2
        meter.duration.add(0.3)
        meter.prompt_tokens += 7
        await control.peers.count()
        there.process._proxy.meters().of("id-1").statuses[200] += 1
        await control.peers.count()
        await control.peers.count()

        counted = control.proxy.meters().of("id-1")
        assert dict(counted.statuses) == {200: 3}
        assert (counted.prompt_tokens, counted.duration.count) == (7, 1)
        assert counted.duration.total == pytest.approx(0.3)
        await control.end()


async def test_nonsense_does_not_end_the_link(tmp_path: Path) -> None:
    async with site(tmp_path) as there:
        control = Control()
        peer = await control.decide(there.place)
        peer.channel.post(b"nonsense")
        peer.channel.post(b'{"what": "cleared", "request": "no hexadecimal"}')
        peer.channel.post(b'{"what": "of a later version", "id": 1}')
        peer.channel.send(ClientGiven(held=""))  # without its descriptor
        control.ring.add(MINE)

        await control.peers.agree()
        assert there.process._mirror.ring.get(MINE.id) == MINE
        await control.end()


async def test_requests_that_are_said_too_late_are_said_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as there:
        control = Control()
        await control.decide(there.place)
        (peer,) = control.peers
        ended = LoggedRequest(id="one", at=1.0, sender="anyone")
        proxy = there.process._proxy
        monkeypatch.setattr(proxy, "requests", lambda: RequestsNow(ended=[ended]))
        monkeypatch.setattr(peer_module, "_LOG_S", 0.0)
        assert not (await control.peers.requests()).ended
        monkeypatch.setattr(proxy, "requests", RequestsNow)
        monkeypatch.setattr(peer_module, "_LOG_S", WITHIN_S)
        await peer.agree()  # the late answer came before this one

        assert (await control.peers.requests()).ended == [ended]
        assert (await control.peers.requests()).ended == []
        await control.end()
