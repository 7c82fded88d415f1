"""What a client may do with its connection: leave, hurry, be slow, say nothing."""

from __future__ import annotations

import asyncio
import math
from typing import cast

import pytest

from llamactl.control import on_demand
from llamactl.core.routes import ReadyInstance
from llamactl.proxy.relay.accounts import abandoned
from llamactl.proxy.stages import exchange
from llamactl.proxy.stages.client import Stage, Step
from llamactl.proxy.stages.table import ImpossibleStep, Staged
from support.control_path import settle
from support.data_path import CHAT, MANAGER, Client, DataPath, Seen, Wire, data_path, request
from support.settings import settings

PLAIN = "/upstream/one/x"
BODY = b'{"model": "one", "filler": "%b"}' % (b"x" * 5000)
LENGTH = (f"Content-Length: {len(BODY)}",)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines here run on, so their end is not waited for."""
    monkeypatch.setattr(on_demand, "_DEATH_KNOWN_S", 0.0)
    monkeypatch.setattr(abandoned, "_FIRST_S", 0.0)
    monkeypatch.setattr(abandoned, "_LONGEST_S", 0.0)


async def begun(there: DataPath, path: str = CHAT) -> tuple[Client, Seen]:
    return await there.held("POST", path, {"model": "one"})


def abandoned_of(there: DataPath) -> int:
    """As the numbers have it, of the instance and of none."""
    meters = there.proxy.meters()
    one = there.control.registry.get("one").instance.id
    return meters.of(one).abandoned + meters.unrouted.abandoned


# It leaves.


async def test_who_leaves_within_the_head_is_no_request() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc")
        client.leave()
        await settle()

        assert there.proxy.connections == 0
        assert (there.engine.seen, abandoned_of(there)) == ([], 0)


@pytest.mark.parametrize("path", [CHAT, f"/upstream/one{CHAT}", PLAIN, "/api/v1/x"])
async def test_who_leaves_within_the_body_costs_no_engine_anything(path: str) -> None:
    async with data_path() as there:
        await there.control.create("one", set_params={"seed": 1})
        there.engine.by_hand = True
        client = there.connect()
        client.ask("POST", path, BODY[:3000], key=MANAGER, headers=LENGTH)
        await settle()
        client.leave()
        await settle()

        assert there.leases("one") == 0
        assert not any(seen.complete for seen in there.engine.seen)
        assert all(seen.connection.closed for seen in there.engine.seen)
        assert there.proxy.connections == 0


async def test_who_leaves_before_the_answer_holds_its_lease_while_the_engine_works_on() -> None:
    async with data_path() as there:
        busy: asyncio.Queue[int] = asyncio.Queue()

        async def busy_slots(_: ReadyInstance) -> int | None:
            return await busy.get()

        there.proxy.relay.abandoned._busy_slots = busy_slots
        client, seen = await begun(there)
        client.leave()
        for _ in range(3):
            busy.put_nowait(1)
            await settle()
            assert there.leases("one") == 1
        busy.put_nowait(0)
        await there.until_free()

        assert seen.connection.closed
        assert abandoned_of(there) == 1


async def test_a_slot_that_others_keep_busy_holds_no_lease_of_who_left() -> None:
    async with data_path() as there:

        async def busy_slots(_: ReadyInstance) -> int | None:
            return 1  # that of the one who stays

        there.proxy.relay.abandoned._busy_slots = busy_slots
        client, _ = await begun(there)
        stays = there.connect()
        stays.ask("POST", CHAT, {"model": "one"}, key=MANAGER)
        other = await there.engine.request(1)
        client.leave()
        for _ in range(20):
            await settle()

        assert there.leases("one") == 1
        other.reply({})
        assert (await stays.answer()).status == 200
        await there.until_free()


async def test_an_engine_that_does_not_say_what_it_works_on_is_not_waited_for() -> None:
    async with data_path() as there:

        async def busy_slots(_: ReadyInstance) -> int | None:
            return None

        there.proxy.relay.abandoned._busy_slots = busy_slots
        client, _ = await begun(there)
        client.leave()
        await there.until_free()
        assert there.control.state("one") == "ready"


async def test_when_all_is_closed_the_leases_of_those_who_left_are_given_back() -> None:
    async with data_path() as there:

        async def busy_slots(_: ReadyInstance) -> int | None:
            return 5

        there.proxy.relay.abandoned._busy_slots = busy_slots
        client, _ = await begun(there)
        client.leave()
        await settle()
        assert there.leases("one") == 1
        there.proxy.relay.abandoned.close()
        await there.until_free()


async def test_a_request_that_was_sent_ahead_by_who_left_is_not_made() -> None:
    async with data_path() as there:
        client, _ = await begun(there)
        client.ask("POST", CHAT, {"model": "one"}, key=MANAGER)
        client.leave()
        await there.until_free()

        assert len(there.engine.seen) == 1
        assert there.proxy.connections == 0


# It hurries.


async def test_requests_that_are_sent_ahead_are_answered_one_after_the_other() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        asked = [request("POST", CHAT, {"model": "one", "n": n}, key=MANAGER) for n in range(3)]
        client.send(b"".join(asked))
        for number in range(3):
            seen = await there.engine.request(number)
            await settle()
            assert len(there.engine.seen) == number + 1
            assert seen.json["n"] == number
            seen.reply({"n": number})

        assert [(await client.answer()).json["n"] for _ in range(3)] == [0, 1, 2]
        assert there.leases("one") == 0


async def test_what_is_sent_far_ahead_is_not_read_before_its_turn() -> None:
    async with data_path() as there:
        client, seen = await begun(there)
        large = {"model": "one", "filler": "x" * 40_000}
        for _ in range(3):
            client.ask("POST", CHAT, large, key=MANAGER)
        assert not client.wire.reading
        seen.reply({})
        for number in range(1, 4):
            (await there.engine.request(number)).reply({})

        assert [(await client.answer()).status for _ in range(4)] == [200] * 4
        assert client.wire.reading


async def test_a_request_sent_ahead_that_is_none_is_told_after_the_answer_before_it() -> None:
    async with data_path() as there:
        client, seen = await begun(there)
        client.send(b"what?\r\n\r\n")
        await settle()
        assert bytes(client.wire.written) == b""
        seen.reply({"fine": True})

        assert (await client.answer()).json == {"fine": True}
        assert (await client.answer()).status == 400
        assert there.leases("one") == 0


async def test_blank_lines_between_requests_are_allowed() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        for _ in range(2):
            client.send(b"\r\n" + request("POST", CHAT, {"model": "one"}, key=MANAGER))
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("sent", [b"get / HTTP/1.1", b"GET / HTTP/1.1\nHost: a", b"\x16\x03\x01"])
async def test_what_can_not_become_a_request_is_refused_before_its_head_is_whole(
    sent: bytes,
) -> None:
    async with data_path() as there:
        client = there.connect()
        client.send(sent)
        assert (await client.answer()).status == 400


async def test_a_head_without_an_end_is_refused_by_its_size() -> None:
    async with data_path(settings("server", max_header_size=4096)) as there:
        client = there.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(10):
            client.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.json["code"]) == (431, "header_too_large")


async def test_what_comes_after_a_refusal_is_dropped_and_its_answer_can_be_read() -> None:
    async with data_path() as there:
        client = there.connect()
        client.ask("POST", "/nowhere", b"", key=MANAGER, headers=("Content-Length: 100000",))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (404, "close")
        assert not client.wire.closed, "it still sends"
        client.send(b"x" * 5000)
        assert not client.wire.reading, "not as fast as it comes"
        client.connection.expire()
        assert client.wire.closed


@pytest.mark.parametrize("chunk", [b"z\r\n", b"5\r\nabcdefgh\r\n"])
async def test_a_body_in_chunks_that_are_none_is_refused(chunk: bytes) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        lines = ("Transfer-Encoding: chunked",)
        client.ask("POST", CHAT, b'7\r\n{"a": 1\r\n', key=MANAGER, headers=lines)
        client.send(chunk)
        answer = await client.answer()

        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert (there.engine.seen, there.leases("one")) == ([], 0)


async def test_a_request_behind_a_body_in_chunks_is_one_of_its_own() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        lines = ("Transfer-Encoding: chunked",)
        body = b'10\r\n{"model": "one"}\r\n0\r\n\r\n'
        after = request("GET", PLAIN, key=MANAGER)
        client.ask("POST", CHAT, body + after, key=MANAGER, headers=lines)

        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        assert [seen.line for seen in there.engine.seen] == [f"POST {CHAT}", "GET /x"]


async def test_a_body_longer_than_its_length_is_the_next_request() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        body = b'{"model": "one"}'
        line = (f"Content-Length: {len(body)}",)
        client.ask("POST", CHAT, body + b"garbage\r\n\r\n", key=MANAGER, headers=line)

        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert client.wire.closed or client.connection._stage is Stage.ENDING


# It is slow, or says nothing.


def overdue(there: DataPath, client: Client) -> None:
    """Its time is over."""
    assert client.connection.deadline < math.inf, "nothing limits this wait"
    client.connection.deadline = 0.0
    there.proxy._clients.expire()


async def test_a_head_that_does_not_end_in_time_is_told() -> None:
    async with data_path() as there:
        client = there.connect()
        client.send(b"GET / HTTP/1.1\r\n")
        overdue(there, client)
        answer = await client.answer()
        assert (answer.status, answer.json["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("used", [False, True])
async def test_a_connection_without_a_request_is_closed_without_a_word(used: bool) -> None:
    async with data_path() as there:
        client = there.connect()
        if used:
            client.ask("GET", "/", key=MANAGER)
            assert (await client.answer()).status == 200
        before = bytes(client.wire.written)
        overdue(there, client)
        assert client.wire.closed and bytes(client.wire.written) == before


@pytest.mark.parametrize("path", [CHAT, PLAIN, "/api/v1/x"])
async def test_a_body_that_does_not_come_is_told_and_its_engine_left(path: str) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        client.ask("POST", path, BODY[:100], key=MANAGER, headers=LENGTH)
        await settle()
        overdue(there, client)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (408, "request_timeout")
        assert there.leases("one") == 0
        assert all(seen.connection.closed for seen in there.engine.seen)


async def test_an_engine_that_says_nothing_in_time_is_told_and_counted() -> None:
    async with data_path() as there:
        client, seen = await begun(there)
        overdue(there, client)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (504, "upstream_silent")
        assert seen.connection.closed and there.leases("one") == 0
        one = there.control.registry.get("one").instance.id
        assert there.control.leases.consecutive_timeouts(one) == 1


async def test_a_stream_that_stands_still_is_ended_with_an_event() -> None:
    async with data_path() as there:
        client, seen = await begun(there)
        seen.stream(b"data: 1\n\n")
        await client.received(b"data: 1")
        overdue(there, client)

        assert b"upstream_silent" in (await client.answer()).body
        assert seen.connection.closed and there.leases("one") == 0


async def test_a_client_that_takes_nothing_of_its_answer_is_cut() -> None:
    async with data_path() as there:
        client, seen = await begun(there, PLAIN)
        client.connection.pause_writing()
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        assert not seen_wire(seen).reading, "nothing more is read from its engine meanwhile"
        overdue(there, client)
        await settle()

        assert client.wire.closed and there.leases("one") == 0


async def test_a_slow_client_slows_its_engine_and_gets_all() -> None:
    async with data_path() as there:
        client, seen = await begun(there, PLAIN)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        client.connection.pause_writing()
        assert not seen_wire(seen).reading
        client.connection.resume_writing()
        assert seen_wire(seen).reading
        seen.send(b"def")

        assert (await client.answer()).body == b"abcdef"


async def test_a_slow_client_does_not_get_the_next_answer_before_it_took_this_one() -> None:
    async with data_path() as there:
        client, seen = await begun(there)
        client.ask("POST", CHAT, {"model": "one"}, key=MANAGER)
        client.connection.pause_writing()
        seen.reply({})
        for _ in range(3):
            await settle()
        assert len(there.engine.seen) == 1
        client.connection.resume_writing()
        (await there.engine.request(1)).reply({})

        assert [(await client.answer()).status for _ in range(2)] == [200, 200]


async def test_a_slow_engine_slows_its_client_and_gets_all() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        line = ("Content-Length: 3000000",)
        client.ask("POST", PLAIN, b"x" * 1000, key=MANAGER, headers=line)
        await settle()
        [seen] = there.engine.seen
        seen.connection.pause_writing()
        assert not client.wire.reading
        seen.connection.resume_writing()
        assert client.wire.reading
        for _ in range(10):
            client.send(b"y" * 299_900)
            await settle()
        seen = await there.engine.request(0)
        seen.reply({})

        assert (await client.answer()).status == 200
        assert seen.body == b"x" * 1000 + b"y" * 2_999_000
        assert there.leases("one") == 0


async def test_an_engine_that_reads_nothing_in_time_is_told() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        client.ask("POST", PLAIN, BODY[:100], key=MANAGER, headers=LENGTH)
        await settle()
        [seen] = there.engine.seen
        seen.connection.pause_writing()
        overdue(there, client)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (504, "upstream_silent")
        assert "read nothing" in answer.json["error"] and there.leases("one") == 0


def seen_wire(seen: Seen) -> Wire:
    return cast(Wire, seen.connection._transport)


# Our own errors.


async def test_a_step_that_is_not_in_its_table_raises_and_changes_nothing() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client, _ = await begun(there)
        for one, step, said in (
            (client.connection, Step.READ, "read while served"),
            (client.connection.handler, exchange.Step.ALL_CAME, "all came while asking"),
        ):
            assert isinstance(one, Staged)
            stage = one._stage
            with pytest.raises(ImpossibleStep, match=said):
                one._move(step)

            assert one._stage is stage
