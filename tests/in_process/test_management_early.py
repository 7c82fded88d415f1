"""Requests that come before the management API is built wait for it; inference does not."""

from __future__ import annotations

import asyncio

import pytest

from support.data_path import MANAGER, Client, DataPath, data_path, request
from support.settings import settings


def sent(there: DataPath, data: bytes) -> Client:
    client = there.connect()
    client.send(data)
    return client


async def test_what_comes_early_is_answered_once_there_is_an_api() -> None:
    async with data_path(managed=False) as there:
        await there.control.create("one")
        early = [
            sent(there, request("GET", "/health")),
            sent(there, request("GET", "/nothing")),
            sent(there, request("GET", "/api/v1/instances")),
            sent(there, request("POST", "/api/v1/x", b"body", key=MANAGER)),
        ]
        assert (await there.chat("one")).status == 200
        assert [bytes(client.wire.written) for client in early] == [b""] * 4

        there.manage()

        assert [(await client.answer()).status for client in early] == [200, 404, 401, 200]
        assert there.managed[-1] == ("POST", "/api/v1/x", b"body")


async def test_its_body_is_read_when_it_is_known_who_gets_it() -> None:
    async with data_path(managed=False) as there:
        body = b"x" * 100_000
        head, _, _ = request("POST", "/api/v1/x", body, key=MANAGER).partition(b"\r\n\r\n")
        client = sent(there, head + b"\r\n\r\n" + body[:10])
        assert not client.wire.reading

        there.manage()

        assert client.wire.reading
        client.send(body[10:])
        assert (await client.answer()).status == 200
        assert there.managed == [("POST", "/api/v1/x", body)]


async def test_its_limits_are_those_of_who_sends_it() -> None:
    async with data_path(managed=False) as there:
        client = sent(there, request("POST", "/health", b"x" * 10_000))
        there.manage()

        assert (await client.answer()).status == 413


async def test_a_browser_that_asks_first_waits_too() -> None:
    given = settings("server", allowed_origins=["https://page.example"])
    async with data_path(given, managed=False) as there:
        headers = ("Origin: https://page.example", "Access-Control-Request-Method: GET")
        client = sent(there, request("OPTIONS", "/api/v1/instances", headers=headers))
        assert bytes(client.wire.written) == b""
        there.manage()

        answer = await client.answer()
        assert answer.headers["access-control-allow-origin"] == "https://page.example"


async def test_a_websocket_where_there_is_none_is_refused_as_later() -> None:
    async with data_path(managed=False) as there:
        upgrade = (
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )  # fmt: skip
        paths = ("/api/v1/instances", "/health")
        early = [sent(there, request("GET", path, headers=upgrade)) for path in paths]
        there.manage()
        late = [sent(there, request("GET", path, headers=upgrade)) for path in paths]

        assert [(await client.answer()).status for client in early + late] == [401, 404] * 2


@pytest.mark.parametrize("others", [0, 1])
async def test_who_leaves_early_is_forgotten(others: int) -> None:
    async with data_path(managed=False) as there:
        client = sent(there, request("GET", "/health"))
        waiting = [sent(there, request("GET", "/health")) for _ in range(others)]
        client.leave()
        await asyncio.sleep(0)
        there.manage()

        assert [(await one.answer()).status for one in waiting] == [200] * others
        assert len(there.managed) == others


async def test_requests_on_one_connection_keep_their_order() -> None:
    async with data_path(managed=False) as there:
        await there.control.create("one")
        chat = request("POST", "/v1/chat/completions", {"model": "one"}, key=MANAGER)
        client = sent(there, request("GET", "/health") + chat)
        there.manage()

        assert (await client.answer()).json == {"managed": "/health"}
        assert "served" in (await client.answer()).json
