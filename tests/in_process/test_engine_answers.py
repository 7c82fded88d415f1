"""What an engine may do with its answer: each is passed on or told, and each lease comes back."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.control import on_demand
from support.control_path import settle
from support.data_path import CHAT, MANAGER, Client, DataPath, Seen, data_path
from support.waits import WITHIN_S

PLAIN = "/upstream/one/x"  # passed on as it comes


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines here run on, so their end is not waited for."""
    monkeypatch.setattr(on_demand, "_DEATH_KNOWN_S", 0.0)


async def asked(there: DataPath, path: str = PLAIN, *, stream: bool = False) -> tuple[Client, Seen]:
    if path == PLAIN:
        return await there.held("GET", path)
    return await there.held("POST", path, {"model": "one", "stream": stream})


async def begun_stream(there: DataPath) -> Client:
    """By us, while its instance loads."""
    await there.control.create("one", start=False)
    there.control.node.loads = True
    there.proxy.relay.comment_every = 0.001
    client = there.connect()
    client.ask("POST", CHAT, {"model": "one", "stream": True}, key=MANAGER)
    await client.received(b": loading")
    async with asyncio.timeout(WITHIN_S):
        await there.control.replica("one").engine.launched.wait()
    return client


async def is_used_again(there: DataPath, seen: Seen) -> bool:
    """Is its connection that of the next request?"""
    client, number = there.connect(), len(there.engine.seen)
    client.ask("GET", PLAIN, key=MANAGER)
    after = await there.engine.request(number)
    after.reply({})
    assert (await client.answer()).status == 200
    return after.connection is seen.connection


# How a body ends.


async def test_a_body_is_passed_on_as_it_comes_and_its_lease_ends_with_the_last_byte() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        seen.send(b"ngth: 6\r\n\r")
        seen.send(b"\nab")
        await client.received(b"ab")
        seen.send(b"cd")
        await client.received(b"abcd")
        assert there.leases("one") == 1
        seen.send(b"ef")

        answer = await client.answer()
        assert (answer.body, answer.headers["content-length"]) == (b"abcdef", "6")
        assert there.leases("one") == 0
        assert await is_used_again(there, seen)


async def test_what_follows_a_body_is_not_passed_on_and_its_connection_is_given_up() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")

        assert (await client.answer()).body == b"abc"
        assert bytes(client.wire.written).endswith(b"abc")
        assert not await is_used_again(there, seen)


@pytest.mark.parametrize("clean", [True, False])
async def test_a_body_that_is_too_short_ends_its_clients_connection(clean: bool) -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await client.received(b"abc")
        if clean:
            seen.connection.connection_lost(None)
        else:
            seen.die()
        await settle()

        assert client.wire.closed, "it must not take this for the whole answer"
        assert there.leases("one") == 0
        instance = there.control.registry.get("one").instance
        assert there.proxy.meters().of(instance.id).broken_off == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc")
        seen.send(b"def")
        await client.received(b"def")
        assert there.leases("one") == 1
        seen.connection.connection_lost(None)

        answer = await client.answer()
        assert (answer.body, answer.headers["transfer-encoding"]) == (b"abcdef", "chunked")
        assert there.leases("one") == 0 and not client.wire.closed
        assert not await is_used_again(there, seen)


async def test_a_body_without_a_length_that_is_reset_is_incomplete() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc")
        await client.received(b"abc")
        seen.die()
        await settle()

        assert client.wire.closed and not bytes(client.wire.written).endswith(b"0\r\n\r\n")
        assert there.leases("one") == 0


async def test_chunks_may_be_cut_anywhere_and_have_a_trailer() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        sent = b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
        seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(len(sent)):
            seen.send(sent[at : at + 1])

        answer = await client.answer()
        assert answer.body == b"abc0123456789"
        assert there.leases("one") == 0
        assert await is_used_again(there, seen)


@pytest.mark.parametrize("sent", [b"x\r\n", b"3\r\nabcd\r\n", b"-1\r\n\r\n", b"3\r\nab"])
async def test_chunks_that_are_none_or_not_all_there_are_not_taken_for_an_end(sent: bytes) -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + sent)
        await settle()
        seen.connection.connection_lost(None)
        await settle()

        assert client.wire.closed and not bytes(client.wire.written).endswith(b"0\r\n\r\n")
        assert there.leases("one") == 0


async def test_what_comes_behind_the_last_chunk_gives_the_connection_up() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1"
        )

        assert (await client.answer()).body == b"ok"
        assert not await is_used_again(there, seen)


@pytest.mark.parametrize(
    "head",
    [b"204 No Content\r\n", b"304 Not Modified\r\nContent-Length: 5\r\n",
     b"200 OK\r\nContent-Length: 0\r\n"],
)  # fmt: skip
async def test_an_answer_without_a_body_is_over_with_its_head(head: bytes) -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 " + head + b"\r\n")

        answer = await client.answer()
        assert (answer.status, answer.body) == (int(head[:3]), b"")
        assert there.leases("one") == 0
        assert await is_used_again(there, seen)


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
async def test_the_answer_to_head_ends_with_its_head_whatever_that_says(framing: bytes) -> None:
    async with data_path() as there:
        client, seen = await there.held("HEAD", PLAIN)
        seen.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        await client.received(b"\r\n\r\n")

        assert there.leases("one") == 0
        assert bytes(client.wire.written).endswith(b"\r\n\r\n")
        assert bytes(client.wire.written).count(b"\r\n\r\n") == 1
        assert await is_used_again(there, seen)


# How it begins.


async def test_interim_answers_are_not_taken_for_the_answer() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTT")
        seen.send(b"P/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert await is_used_again(there, seen)


ENDLESS = b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * (300 << 10)


@pytest.mark.parametrize(
    "sent",
    [b"HTTP/1.1 100 Continue\r\n\r\n" * 65, ENDLESS, b"HTTP/1.1 abc OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
)  # fmt: skip
async def test_a_head_that_is_none_is_a_bad_gateway(sent: bytes) -> None:
    async with data_path() as there:
        client, _ = await asked(there)
        for number in range(2):  # it runs on, so it is asked once more
            (await there.engine.request(number)).send(sent)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (502, "upstream_died")
        assert there.leases("one") == 0


async def test_an_engine_that_closes_within_its_head_is_asked_once_more_and_no_more() -> None:
    async with data_path() as there:
        client, _ = await asked(there, CHAT)
        for number in range(2):
            seen = await there.engine.request(number)
            seen.send(b"HTTP/1.1 200 OK\r\nContent-")
            seen.connection.connection_lost(None)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (502, "upstream_died")
        assert (len(there.engine.seen), there.leases("one")) == (2, 0)


# Whether its connection is used again.


@pytest.mark.parametrize("line", ["Connection: close", "Keep-Alive: timeout=1"])
async def test_an_engine_says_how_long_its_connection_is_good_for(line: str) -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.send(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n\r\n".encode())
        assert (await client.answer()).status == 200

        assert not await is_used_again(there, seen)


async def test_who_speaks_on_an_idle_connection_is_not_asked_by_it_again() -> None:
    async with data_path() as there:
        client, seen = await asked(there)
        seen.reply({})
        assert (await client.answer()).status == 200
        seen.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

        assert seen.connection.closed
        assert not await is_used_again(there, seen)


async def test_only_so_many_idle_connections_are_kept() -> None:
    async with data_path() as there:
        requests = [await asked(there) for _ in range(40)]
        for client, seen in requests:
            seen.reply({})
            assert (await client.answer()).status == 200

        assert sum(not seen.connection.closed for _, seen in requests) == 32
        assert there.leases("one") == 0


async def test_an_answer_that_comes_before_its_body_was_sent_ends_that_connection() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        lines = ("Content-Length: 2000000",)
        client.ask("POST", PLAIN, b"x" * 1000, key=MANAGER, headers=lines)
        await settle()
        [seen] = there.engine.seen
        seen.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        answer = await client.answer()

        assert answer.status == 413
        assert answer.headers["connection"] == "close", "the rest of its body is still to come"
        assert seen.connection.closed and there.leases("one") == 0


# In a stream, and where an answer is held back.


@pytest.mark.parametrize(
    ("path", "event"),
    [(CHAT, b'data: {"error":'), ("/v1/messages", b"event: error\ndata: "),
     ("/v1/responses", b'event: error\ndata: {"type":"error"')],
)  # fmt: skip
async def test_a_stream_that_breaks_says_so_in_the_words_of_its_api(
    path: str, event: bytes
) -> None:
    async with data_path() as there:
        client, seen = await asked(there, path, stream=True)
        seen.stream(b"data: 1\n")
        await client.received(b"data: 1\n")
        seen.die()

        answer = await client.answer()
        assert answer.body.startswith(b"data: 1\n\n\n" + event), "half an event is ended first"
        assert b"upstream_died" in answer.body
        assert there.leases("one") == 0


async def test_a_stream_of_http_1_0_ends_with_its_connection() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        client.send(
            f"GET {PLAIN} HTTP/1.0\r\nHost: localhost\r\n"
            f"Authorization: Bearer {MANAGER}\r\n\r\n".encode()
        )
        seen = await there.engine.request(0)
        seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        await settle()

        head, _, body = bytes(client.wire.written).partition(b"\r\n\r\n")
        assert body == b"ok" and b"chunked" not in head.lower()
        assert client.wire.closed and there.leases("one") == 0


async def test_an_answer_that_is_held_back_and_breaks_is_an_error_of_ours() -> None:
    async with data_path() as there:
        client, seen = await asked(there, CHAT)
        seen.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        seen.send(b'{"model": "its own name", ')
        await settle()
        assert bytes(client.wire.written) == b""
        seen.die()
        answer = await client.answer()

        await settle()
        assert (answer.status, answer.json["code"]) == (502, "upstream_died")
        assert there.leases("one") == 0 and not client.wire.closed


async def test_an_answer_gets_the_name_that_was_asked_for_and_its_new_length() -> None:
    async with data_path() as there:
        client, seen = await asked(there, CHAT)
        seen.reply({"id": 1, "model": "the engine's own name", "n": 2})
        answer = await client.answer()

        assert answer.json == {"id": 1, "model": "one", "n": 2}
        assert answer.headers["content-length"] == str(len(answer.body))


async def test_an_error_that_is_no_stream_reaches_a_stream_that_we_began() -> None:
    async with data_path() as there:
        client = await begun_stream(there)
        there.engine.by_hand = True
        there.control.node.loaded("one")
        (await there.engine.request(0)).reply({"error": {"message": "too long"}}, status=400)

        answer = await client.answer()
        assert answer.status == 200, "that was said before"
        assert b'data: {"error":{"message":"too long"' in answer.body
        assert there.leases("one") == 0


async def test_a_stream_that_we_began_is_told_that_no_stream_came() -> None:
    async with data_path() as there:
        client = await begun_stream(there)
        there.engine.by_hand = True
        there.control.node.loaded("one")
        (await there.engine.request(0)).reply({"no": "stream"})

        answer = await client.answer()
        assert b"the engine responded with 200 instead of a stream" in answer.body
        assert there.leases("one") == 0


async def test_a_start_that_fails_is_told_in_the_stream_that_we_began() -> None:
    async with data_path() as there:
        client = await begun_stream(there)
        there.control.node.crash("one")

        answer = await client.answer()
        assert b"start_failed" in answer.body
        assert there.leases("one") == 0


async def test_a_stream_that_fails_before_its_first_token_is_an_error_of_its_clients_form() -> None:
    async with data_path() as there:
        client, seen = await asked(there, "/v1/messages", stream=True)
        event = b'data: {"error":{"message":"out of slots","type":"server_error"}}\n\n'
        seen.stream(event, b"")

        answer = await client.answer()
        assert b"event: error\n" in answer.body and b"out of slots" in answer.body
        assert there.leases("one") == 0


@pytest.mark.parametrize("name", ["one", "a-file.gguf"])
async def test_an_answer_is_counted_once_whether_it_is_renamed_or_not(name: str) -> None:
    async with data_path() as there:
        client, seen = await asked(there, CHAT)
        seen.reply({"model": name, "usage": {"prompt_tokens": 8, "completion_tokens": 3}})

        assert (await client.answer()).json["model"] == "one"
        meter = there.proxy.meters().of(there.control.registry.get("one").instance.id)
        assert (meter.statuses[200], meter.prompt_tokens, meter.generated_tokens) == (1, 8, 3)
