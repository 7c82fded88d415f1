"""Bodies that come slowly, and the management API's answers: what ends them midway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llamactl.core.keys import Caller
from support.control_path import settle
from support.data_path import CHAT, MANAGER, DataPath, data_path
from support.waits import WITHIN_S

TRANSCRIBE = "/v1/audio/transcriptions"
FORM = "Content-Type: multipart/form-data; boundary=b"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


async def sent_slowly(there: DataPath, path: str, body: bytes, *lines: str, by: int = 997) -> Any:
    client = there.connect()
    length = f"Content-Length: {len(body)}"
    client.ask("POST", path, b"", key=MANAGER, headers=(length, *lines))
    for at in range(0, len(body), by):
        client.send(body[at : at + by])
        await settle()
    return await client.answer()


@pytest.mark.parametrize("file_first", [True, False])
async def test_a_form_is_routed_wherever_its_model_stands(file_first: bool) -> None:
    async with data_path() as there:
        await there.control.create("one")
        parts = [part("file", b"x" * 100_000, '; filename="a"'), part("model", b"one")]
        body = b"".join(parts if file_first else parts[::-1]) + b"--b--\r\n"
        answer = await sent_slowly(there, TRANSCRIBE, body, FORM, by=9973)

        assert answer.status == 200
        assert there.engine.seen[0].body == body and there.leases("one") == 0


@pytest.mark.parametrize(
    ("body", "line", "status", "code"),
    [(part("file", b"x" * 5000) + b"--b--\r\n", FORM, 400, "model_missing"),
     (part("model", b"none") + b"--b--\r\n", FORM, 404, "model_not_found"),
     (part("model", b"one"), "Content-Type: multipart/form-data", 400, "malformed_body"),
     (json.dumps({"x": "y" * 50_000, "model": "none"}).encode(), "X-A: b", 404, "model_not_found"),
     (json.dumps({"x": "y" * 50_000}).encode(), "X-A: b", 400, "model_missing"),
     (b'{"x": "' + b"y" * 50_000, "X-A: b", 400, "malformed_body"),
     (b'{"model": "one", "x": ' + b"[" * 50_000, "X-A: b", 400, "malformed_body")],
)  # fmt: skip
async def test_a_slow_body_that_leads_nowhere_is_refused_and_reaches_no_engine(
    body: bytes, line: str, status: int, code: str
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        path = TRANSCRIBE if "multipart" in line else CHAT
        answer = await sent_slowly(there, path, body, line)

        assert (answer.status, answer.json["code"]) == (status, code)
        assert not any(seen.complete for seen in there.engine.seen)
        assert there.leases("one") == 0


@pytest.mark.parametrize("path", [CHAT, f"/upstream/one{CHAT}"])
async def test_a_key_that_ends_while_its_body_comes_reaches_no_engine(path: str) -> None:
    async with data_path() as there:
        await there.control.create("one", set_params={"seed": 1})
        key, client = there.add_key("known"), there.connect()
        body = json.dumps({"model": "one", "x": "y" * 5000}).encode()
        line = (f"Content-Length: {len(body)}",)
        client.ask("POST", path, body[:2000], key=key, headers=line)
        await settle()
        there.ring.remove("known")
        client.send(body[2000:])
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert (there.engine.seen, there.leases("one")) == ([], 0)


async def test_an_instance_that_is_deleted_while_a_body_comes_is_not_found() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        body = json.dumps({"x": "y" * 5000, "model": "one"}).encode()
        client.ask(
            "POST", CHAT, body[:2000], key=MANAGER, headers=(f"Content-Length: {len(body)}",)
        )
        await settle()
        await there.control.definitions.delete("one", force=False)
        client.send(body[2000:])
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (404, "model_not_found")


# What an engine says of an error, in the words of its client.


@pytest.mark.parametrize(
    ("said", "message"),
    [({"error": {"message": "too long", "type": "x"}}, "too long"), ({"error": "why"}, "why"),
     ({"object": "error", "message": "no"}, "no"), ({"detail": "not this"}, "not this"),
     ({"detail": [{"loc": ["a"], "msg": "field required"}]}, "field required")],
)  # fmt: skip
async def test_each_form_of_an_engines_error_becomes_its_clients(
    said: dict[str, object], message: str
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.engine.by_hand = True
        for number, path in enumerate((CHAT, "/v1/messages")):
            client = there.connect()
            client.ask("POST", path, {"model": "one"}, key=MANAGER)
            (await there.engine.request(number)).reply(said, status=422)
            answer = await client.answer()
            error = answer.json["error"]

            assert answer.status == 422
            assert (error["message"] if path == "/v1/messages" else error) == message


@pytest.mark.parametrize("said", [b"plain words", b"[1]", b'{"no": "message"}', b'{"error": []}'])
async def test_what_is_no_error_as_engines_write_them_is_passed_on_as_it_is(said: bytes) -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        seen.send(b"HTTP/1.1 500 Oh\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
        answer = await client.answer()

        assert (answer.status, answer.body) == (500, said)


# The management API.


class Management:
    """An answer in parts, as long as a test goes on."""

    def __init__(self, there: DataPath, caller: Caller | None) -> None:
        self.goes_on = asyncio.Event()
        self.gone = asyncio.Event()
        self._caller = caller
        there.proxy._asgi.http._app = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["caller"] = self._caller
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await receive()
        waiting = asyncio.ensure_future(self._disconnected(receive))
        try:
            await self.goes_on.wait()
        finally:
            waiting.cancel()
        await send({"type": "http.response.body", "body": b" and done"})

    async def _disconnected(self, receive: Any) -> None:
        message = await receive()
        assert message["type"] == "http.disconnect"
        self.gone.set()


async def test_an_answer_in_parts_ends_with_the_key_it_is_for() -> None:
    async with data_path() as there:
        there.add_key("known")
        Management(there, Caller(management=False, key=there.ring.get("known")))
        client = there.connect()
        client.ask("GET", "/api/v1/x", key=MANAGER)
        await client.received(b"begun")
        there.ring.remove("known")

        assert (await client.answer()).body == b"begun"


async def test_an_answer_in_parts_lasts_as_long_as_its_key_does() -> None:
    async with data_path() as there:
        there.add_key("known")
        there.add_key("other")
        api = Management(there, Caller(management=False, key=there.ring.get("known")))
        client = there.connect()
        client.ask("GET", "/api/v1/x", key=MANAGER)
        await client.received(b"begun")
        there.ring.remove("other")
        await settle()
        api.goes_on.set()

        assert (await client.answer()).body == b"begun and done"


async def test_the_management_api_hears_that_a_client_has_left() -> None:
    async with data_path() as there:
        api = Management(there, None)
        client = there.connect()
        client.ask("GET", "/api/v1/x", key=MANAGER)
        await client.received(b"begun")
        client.leave()
        async with asyncio.timeout(WITHIN_S):
            await api.gone.wait()
        api.goes_on.set()
        await settle()

        assert there.proxy.connections == 0


async def test_a_client_that_takes_nothing_of_such_an_answer_is_cut() -> None:
    async with data_path() as there:
        api = Management(there, None)
        client = there.connect()
        client.ask("GET", "/api/v1/x", key=MANAGER)
        await client.received(b"begun")
        client.connection.pause_writing()
        client.connection.deadline = 0.0
        there.proxy._clients.expire()
        async with asyncio.timeout(WITHIN_S):
            await api.gone.wait()
        api.goes_on.set()

        assert client.wire.closed


@pytest.mark.parametrize(
    "body", [b"[" + b"1," * 60_000 + b"1]", b"x" * ((1 << 20) + 1)], ids=["values", "bytes"]
)
async def test_a_body_that_would_take_long_to_parse_is_refused_as_it_comes(body: bytes) -> None:
    async with data_path() as there:
        client = there.connect()
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        lines = ("Transfer-Encoding: chunked",)
        client.ask("POST", "/api/v1/x", chunks[:1000], key=MANAGER, headers=lines)
        for at in range(1000, len(chunks), 8000):
            if client.wire.written:
                break
            client.send(chunks[at : at + 8000])
            await settle()
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
        assert there.managed == []
