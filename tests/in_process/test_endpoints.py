"""Where requests lead: by a model, by an instance in the path, and what engines see of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llamactl.control import on_demand
from support.control_path import settle
from support.data_path import CHAT, MANAGER, Client, DataPath, Seen, data_path, request


async def begun_stream(there: DataPath) -> tuple[Client, Seen]:
    """Its first event has arrived."""
    client, seen = await there.held("POST", CHAT, {"model": "one", "stream": True})
    seen.stream(b"data: 1\n\n")
    await client.received(b"data: 1\n\n")
    return client, seen


@pytest.mark.parametrize("name", ["one", "ONE", "other"])
async def test_a_model_is_found_by_name_and_alias_and_goes_unchanged(name: str) -> None:
    async with data_path() as there:
        await there.control.create("one", aliases=["other"])
        sent = json.dumps({"model": name, "messages": [], "x": "ü"}).encode()
        answer = await there.ask("POST", CHAT, sent)

        assert answer.json == {"served": f"POST {CHAT}"}
        assert there.engine.seen[0].body == sent
        assert there.leases("one") == 0


@pytest.mark.parametrize(
    ("method", "path", "arrives"),
    [("GET", "/upstream/one/x?y=1", "GET /x?y=1"), ("GET", "/llama-cpp/one/x", "GET /x"),
     ("GET", "/api/v1/instances/one/proxy/slots", "GET /slots"),
     ("GET", "/upstream/one/a%2Fb", "GET /a%2Fb"), ("DELETE", "/upstream/one", "DELETE /"),
     ("GET", "/v1/props?model=one", "GET /v1/props?model=one")],
)  # fmt: skip
async def test_the_engine_sees_its_own_path(method: str, path: str, arrives: str) -> None:
    async with data_path() as there:
        await there.control.create("one")
        assert (await there.ask(method, path)).status == 200
        assert there.engine.seen[0].line == arrives


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "malformed_body"), (b"[]", 400, "malformed_body"),
     (b'{"messages": []}', 400, "model_missing"), (b'{"model": 1}', 400, "malformed_body"),
     (b'{"model": "nope"}', 404, "model_not_found"), (b"", 400, "malformed_body")],
)  # fmt: skip
async def test_a_body_that_names_no_model_of_ours_is_refused(
    body: bytes, status: int, code: str
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        answer = await there.ask("POST", CHAT, body)

        assert (answer.status, answer.json["code"]) == (status, code)
        assert there.engine.seen == []


@pytest.mark.parametrize("path", ["/upstream/nope/x", "/api/v1/instances/nope/proxy/x"])
async def test_an_instance_that_is_not_there_is_said(path: str) -> None:
    async with data_path() as there:
        answer = await there.ask("GET", path)
        assert (answer.status, answer.json["code"]) == (404, "instance_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "slots", 403), ("GET", "nothing", 404), ("GET", "v1/chat/completions", 405),
     ("POST", "v1/chat/completions", 200), ("GET", "x", 200)],
)  # fmt: skip
async def test_an_inference_key_reaches_inference_of_an_engine_only(
    method: str, path: str, status: int
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        key = there.add_key("known")
        answer = await there.ask(method, f"/upstream/one/{path}", {} if status else None, key=key)
        assert answer.status == status


async def test_the_raw_proxy_starts_nothing() -> None:
    async with data_path() as there:
        await there.control.create("off", start=False)
        answer = await there.ask("GET", "/api/v1/instances/off/proxy/x")

        assert (answer.status, answer.json["code"]) == (503, "not_running")
        assert there.control.state("off") == "stopped"


async def test_parameters_are_set_and_stripped_before_the_engine_sees_them() -> None:
    async with data_path() as there:
        await there.control.create(
            "one", default_params={"top_k": 3}, set_params={"seed": 7}, strip_params=["logprobs"]
        )
        await there.ask("POST", CHAT, {"model": "one", "seed": 1, "logprobs": True})

        assert there.engine.seen[0].json == {"model": "one", "seed": 7, "top_k": 3}


async def test_a_body_that_comes_in_pieces_arrives_whole() -> None:
    async with data_path() as there:
        await there.control.create("one")
        sent = json.dumps({"model": "one", "filler": "x" * 50_000}).encode()
        whole = request("POST", CHAT, sent, key=MANAGER)
        client = there.connect()
        for at in range(0, len(whole), 7001):
            client.send(whole[at : at + 7001])
            await settle()

        assert (await client.answer()).status == 200
        assert there.engine.seen[0].body == sent


async def test_a_body_in_chunks_arrives_whole() -> None:
    async with data_path() as there:
        await there.control.create("one")
        chunks = b'10\r\n{"model": "one",\r\n7\r\n "x": 1\r\n1\r\n}\r\n0\r\n\r\n'
        lines = ("Transfer-Encoding: chunked",)
        answer = await there.ask("POST", CHAT, chunks, headers=lines)

        assert answer.status == 200
        assert there.engine.seen[0].json == {"model": "one", "x": 1}


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with data_path() as there:
        await there.control.create("one")
        body = b'{"model": "one"}'
        lines = ("Expect: 100-continue", f"Content-Length: {len(body)}")
        client = there.connect()
        client.ask("POST", CHAT, b"", key=MANAGER, headers=lines)
        await client.received(b"100 Continue")
        client.send(body)
        assert (await client.answer()).status == 200


async def test_a_stream_passes_as_it_comes_and_holds_a_lease_until_its_end() -> None:
    async with data_path() as there:
        client, seen = await begun_stream(there)
        assert there.leases("one") == 1
        seen.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

        assert (await client.answer()).body == b"data: 1\n\ndata: 2\n\n"
        assert there.leases("one") == 0


async def test_a_client_that_leaves_a_stream_ends_it_at_the_engine() -> None:
    async with data_path() as there:
        client, seen = await begun_stream(there)
        client.leave()
        await settle()

        assert seen.connection.closed
        assert there.leases("one") == 0


async def test_an_engine_that_breaks_off_a_stream_is_told_in_it() -> None:
    async with data_path() as there:
        client, seen = await begun_stream(there)
        there.control.node.crash("one")
        seen.die()

        await client.received(b"upstream_died")
        assert there.leases("one") == 0


async def test_an_engine_that_crashes_before_it_answers_is_told_and_not_asked_again() -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        there.control.node.crash("one")
        seen.die()
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (502, "upstream_died")
        assert len(there.engine.seen) == 1
        assert there.leases("one") == 0


async def test_a_kept_connection_that_is_closed_costs_no_request() -> None:
    async with data_path() as there:
        await there.control.create("one")
        assert (await there.chat("one")).status == 200
        client, first = await there.held("POST", CHAT, {"model": "one"})
        assert first.connection is there.engine.seen[0].connection, "it is used again"
        first.connection.connection_lost(None)
        (await there.engine.request(2)).reply({"again": True})

        assert (await client.answer()).json == {"again": True}


async def test_what_an_engine_says_of_an_error_is_passed_on() -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        seen.reply({"error": {"message": "too long", "type": "x", "code": 400}}, status=400)
        answer = await client.answer()

        assert answer.status == 400
        assert "too long" in answer.body.decode()


@pytest.mark.parametrize("sent", [b"no HTTP\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"])
async def test_an_engine_that_speaks_no_http_is_told(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_demand, "_DEATH_KNOWN_S", 0.0)  # it runs on
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        client.ask("POST", CHAT, {"model": "one"}, key=MANAGER)
        for number in range(2):  # it runs on, so it is asked once more
            (await there.engine.request(number)).send(sent)
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (502, "upstream_died")
        assert there.leases("one") == 0


async def test_an_engine_that_accepts_no_connection_is_told() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.refuses = True
        asking = asyncio.create_task(there.chat("one"))
        await settle()
        there.control.node.crash("one")
        answer = await asking

        assert answer.status in (502, 503)
        assert there.leases("one") == 0


async def test_the_answer_to_head_has_no_body() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        client = there.connect()
        client.ask("HEAD", "/upstream/one/x", key=MANAGER)
        (await there.engine.request(0)).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await client.received(b"\r\n\r\n")

        assert bytes(client.wire.written).lower().endswith(b"\r\n\r\n")
        assert b"content-length: 9" in bytes(client.wire.written).lower()


async def test_models_are_listed_with_what_they_do() -> None:
    async with data_path() as there:
        await there.control.create("runs", aliases=["other"])
        await there.control.create("off", start=False)
        listed = (await there.ask("GET", "/v1/models")).json["data"]

        assert [(row["id"], row["state"]) for row in listed] == [
            ("off", "stopped"), ("runs", "running"),
        ]  # fmt: skip


async def test_a_request_to_what_was_deleted_is_a_model_not_found() -> None:
    async with data_path() as there:
        await there.control.create("one")
        await there.control.definitions.delete("one", force=True)
        answer = await there.chat("one")

        assert (answer.status, answer.json["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", [CHAT, f"/upstream/one{CHAT}"])
@pytest.mark.parametrize("changes", [{}, {"set_params": {"seed": 7}}])
async def test_a_body_that_is_changed_is_sent_whole_however_it_came(
    path: str, changes: dict[str, Any]
) -> None:
    async with data_path() as there:
        await there.control.create("one", **changes)
        body = {"model": "one", "filler": "x" * 50_000, "seed": 1}
        whole = request("POST", path, body, key=MANAGER)
        client = there.connect()
        for at in range(0, len(whole), 9001):
            client.send(whole[at : at + 9001])
            await settle()

        assert (await client.answer()).status == 200
        assert there.engine.seen[0].json == {**body, "seed": 7 if changes else 1}


async def test_a_form_is_sent_by_the_model_in_it() -> None:
    async with data_path() as there:
        await there.control.create("one")
        parts = [
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
            b"x" * 3000,
            b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\none\r\n--b--\r\n',
        ]
        sent = b"".join(parts)
        lines = ("Content-Type: multipart/form-data; boundary=b",)
        answer = await there.ask("POST", "/v1/audio/transcriptions", sent, headers=lines)

        assert answer.status == 200
        assert there.engine.seen[0].body == sent


async def test_one_model_is_told_by_its_name() -> None:
    async with data_path() as there:
        await there.control.create("one")
        found, missing = [await there.ask("GET", f"/v1/models/{n}") for n in ("one", "two")]

        assert (found.status, found.json["id"]) == (200, "one")
        assert (missing.status, missing.json["code"]) == (404, "model_not_found")
