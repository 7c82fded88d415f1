"""Who may come in, from where, and where to: by bytes, over connections in memory."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llamactl.proxy import server
from llamactl.proxy.http.heads import KEPT
from llamactl.proxy.routing.entry import Entry
from support.data_path import CHAT, MANAGER, data_path, request
from support.settings import settings


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", CHAT, {"model": "one"}), ("GET", "/v1/models", None), ("POST", "/completion", {}),
     ("GET", "/api/v1/instances", None), ("GET", "/upstream/one/x", None),
     ("GET", "/llama-cpp/one/x", None), ("GET", "/api/v1/instances/one/proxy/x", None)],
)  # fmt: skip
@pytest.mark.parametrize("key", ["", "wrong", "known.wrong"])
async def test_nothing_of_ours_answers_who_shows_no_valid_key(
    method: str, path: str, body: object, key: str
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.add_key("known")
        answer = await there.ask(method, path, body, key=key)

        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (there.engine.seen, there.managed) == ([], [])


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "X-Api-Key: {}"])
async def test_a_key_may_be_shown_in_two_ways(header: str) -> None:
    async with data_path() as there:
        await there.control.create("one")
        key = there.add_key("known")
        answer = await there.chat("one", key="", headers=(header.format(key),))

        assert answer.status == 200
        assert there.ring.used.keys() == {"known"}
        assert "authorization" in there.engine.seen[0].headers
        assert key not in str(there.engine.seen[0].headers), "it is ours, not the engine's"


async def test_an_inference_key_manages_nothing() -> None:
    async with data_path() as there:
        await there.control.create("one")
        key = there.add_key("known")
        for path in ("/api/v1/instances", "/api/v1/instances/one/proxy/x"):
            answer = await there.ask("GET", path, key=key)
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert (there.engine.seen, there.managed) == ([], [])


async def test_a_key_counts_for_its_instances_only() -> None:
    async with data_path() as there:
        await there.control.create("mine")
        await there.control.create("other")
        key = there.add_key("known", "mine")

        assert (await there.chat("mine", key=key)).status == 200
        refused = await there.chat("other", key=key)
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
        listed = (await there.ask("GET", "/v1/models", key=key)).json["data"]
        assert [row["id"] for row in listed] == ["mine"]


async def test_a_head_is_judged_anew_once_its_key_is_revoked_or_over() -> None:
    async with data_path() as there:
        await there.control.create("one")
        key, soon = there.add_key("known"), there.add_key("old", expires_at=int(time.time()) - 1)
        client = there.connect()
        for expected in (200, 200, 401):
            client.ask("POST", CHAT, {"model": "one"}, key=key)
            assert (await client.answer()).status == expected
            if len(there.engine.seen) == 2:
                there.ring.remove("known")
        assert (await there.chat("one", key=soon)).status == 401


async def test_what_one_server_decided_for_a_head_is_not_asked_of_another_one() -> None:
    """Of one process: their heads are the same, their settings are not."""
    lax = settings("auth", require_inference_auth=False)
    async with data_path() as strict, data_path(lax) as other:
        for _ in range(2):
            assert (await other.ask("GET", "/v1/models", key="")).status == 200
            assert (await strict.ask("GET", "/v1/models", key="")).status == 401


async def test_what_was_decided_for_many_heads_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[Entry]()

    def make(*given: Any) -> Entry:
        made.append(Entry(*given))
        return made[-1]

    monkeypatch.setattr(server, "Entry", make)
    async with data_path() as there:
        client, decisions = there.connect(), made[0]._decisions
        for number in range(KEPT + 2):
            client.ask("GET", f"/v1/models?{number}", key=MANAGER)
            assert (await client.answer()).status == 200
            assert len(decisions) <= KEPT
        client.ask("GET", "/v1/models?" + "x" * 5000, key=MANAGER)
        assert (await client.answer()).status == 200

    assert len(decisions) == 2, "a long head is not kept"


async def test_two_requests_that_come_together_are_answered_in_turn() -> None:
    async with data_path() as there:
        await there.control.create("one")
        client = there.connect()
        asked = request("POST", CHAT, {"model": "one"}, key=MANAGER)
        client.send(asked + asked[:40])
        client.send(asked[40:])

        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        assert len(there.engine.seen) == 2


async def test_where_no_key_is_asked_for_all_may_ask_and_nobody_manage() -> None:
    async with data_path(settings("auth", require_inference_auth=False)) as there:
        await there.control.create("one")
        assert (await there.chat("one", key="")).status == 200
        assert (await there.chat("one", key="wrong")).status == 200
        assert (await there.ask("GET", "/api/v1/x", key="")).status == 401
        assert (await there.ask("GET", "/api/v1/instances/one/proxy/x")).status == 200


async def test_where_management_asks_for_no_key_all_may_do_all() -> None:
    async with data_path(settings("auth", require_management_auth=False)) as there:
        assert (await there.ask("GET", "/api/v1/x", key="")).json == {"managed": "/api/v1/x"}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example"])
async def test_a_foreign_host_is_refused_unless_a_key_is_shown(host: str) -> None:
    async with data_path() as there:
        line = (f"Host: {host}",)
        assert (await there.ask("GET", "/", key="", headers=line)).status == 403
        assert (await there.ask("GET", "/", headers=line)).status == 200
        assert there.managed == [("GET", "/", b"")]


@pytest.mark.parametrize("path", ["/", CHAT, "/api/v1/x"])
async def test_a_foreign_origin_is_refused_whatever_is_shown(path: str) -> None:
    async with data_path() as there:
        line = ("Origin: https://evil.example",)
        answer = await there.ask("POST", path, {"model": "one"}, headers=line)

        assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers


async def test_a_configured_origin_may_ask_and_read() -> None:
    async with data_path(settings("server", allowed_origins=["https://good.example"])) as there:
        await there.control.create("one")
        line = ("Origin: https://good.example",)
        answer = await there.chat("one", headers=line)

        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://good.example"


async def test_what_is_not_there_is_said_before_its_body_is_read() -> None:
    async with data_path() as there:
        client = there.connect()
        client.ask("POST", "/nowhere", b"", headers=("Content-Length: 1000",))
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_a_request_for_management_goes_there_with_its_body() -> None:
    async with data_path() as there:
        answer = await there.ask("PUT", "/api/v1/instances/one?wait=true", {"a": 1})

        assert answer.json == {"managed": "/api/v1/instances/one"}
        assert there.managed == [("PUT", "/api/v1/instances/one", b'{"a": 1}')]


async def test_a_body_that_is_too_long_for_its_place_is_refused() -> None:
    async with data_path(settings("server", max_json_size=1024)) as there:
        await there.control.create("one")
        for path, size in ((CHAT, 1025), ("/api/v1/x", (1 << 20) + 1), ("/", (8 << 10) + 1)):
            client = there.connect()
            line = (f"Content-Length: {size}",)
            client.ask("POST", path, b"", key=MANAGER, headers=line)
            answer = await client.answer()
            assert (answer.status, answer.json["code"]) == (413, "body_too_large"), path


@pytest.mark.parametrize(
    "sent",
    [b"no request\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
     b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
)  # fmt: skip
async def test_what_is_no_request_is_answered_and_its_connection_closed(sent: bytes) -> None:
    async with data_path() as there:
        client = there.connect()
        client.send(sent)
        assert (await client.answer()).status == 400


async def test_each_answer_says_which_request_it_is_for() -> None:
    async with data_path() as there:
        await there.control.create("one")
        mine = await there.chat("one", headers=("X-Request-Id: mine",))
        ours = [(await there.chat("one")).headers["x-request-id"] for _ in range(2)]

        assert mine.headers["x-request-id"] == "mine"
        assert ours[0] != ours[1]
        assert there.engine.seen[0].headers["x-request-id"] == "mine"


async def test_until_the_store_was_read_nobody_is_called_unknown() -> None:
    async with data_path() as there:
        there.ring.complete = False
        there.control.registry.know(all_of_them=False)
        for answer in (await there.chat("one"), await there.ask("GET", "/v1/models", key="other")):
            assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
