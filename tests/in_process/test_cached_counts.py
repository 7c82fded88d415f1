"""Who has no management key learns nothing of what an engine had cached, if that is wanted."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.control_path import settle
from support.data_path import CHAT, MANAGER, Client, DataPath, Seen, data_path
from support.settings import settings

USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 7}}
SAID = {"model": "one", "usage": USAGE, "timings": {"cache_n": 7, "prompt_n": 1, "predicted_n": 3}}
SHOWN = {
    "model": "one",
    "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 0}},
    "timings": {"predicted_n": 3},
}


@asynccontextmanager
async def discreet() -> AsyncIterator[DataPath]:
    async with data_path(settings("auth", hide_cached_tokens=True)) as there:
        await there.control.create("one")
        there.add_key("anna")
        yield there


async def asked(there: DataPath, key: str = "anna.secret", **more: Any) -> tuple[Client, Seen]:
    return await there.held("POST", CHAT, {"model": "one"}, key=key, **more)


def counted(there: DataPath) -> tuple[int, int]:
    """Prompt tokens, and how many of them were cached."""
    meter = there.proxy.meters().of(there.control.registry.get("one").instance.id)
    return meter.prompt_tokens, meter.cached_tokens


@pytest.mark.parametrize("name", ["one", "a-file.gguf"])
async def test_only_management_keys_see_it_and_our_own_counts_do(name: str) -> None:
    async with discreet() as there:
        for key, shown in ((MANAGER, SAID), ("anna.secret", SHOWN)):
            client, seen = await asked(there, key)
            seen.reply({**SAID, "model": name})
            assert (await client.answer()).json == shown
        assert counted(there) == (16, 14)


@pytest.mark.parametrize("path", ["/upstream/one/completion", "/llama-cpp/one/completion"])
async def test_an_instance_by_its_path_says_as_little(path: str) -> None:
    async with discreet() as there:
        client, seen = await there.held("POST", path, {"prompt": "a"}, key="anna.secret")
        seen.reply({"content": "a", "tokens_cached": 9, "id_slot": 0})
        assert (await client.answer()).json == {"content": "a"}


@pytest.mark.parametrize("open_to_all", [True, False])
async def test_who_needs_no_key_sees_it_only_where_nobody_needs_one(open_to_all: bool) -> None:
    given = settings(
        "auth", hide_cached_tokens=True, require_inference_auth=False,
        require_management_auth=not open_to_all,
    )  # fmt: skip
    async with data_path(given) as there:
        await there.control.create("one")
        client, seen = await asked(there, "")
        seen.reply(SAID)
        assert (await client.answer()).json == (SAID if open_to_all else SHOWN)


async def test_a_stream_hides_it_in_each_event_however_that_is_cut() -> None:
    async with discreet() as there:
        client, seen = await asked(there)
        events = [b'data: {"choices":[{"delta":{"content":"a"}}],"timings":{"cache_n":7}}\n\n']
        events += [b"data: %b\n\n" % json.dumps(SAID).encode(), b"data: [DONE]\n\n"]
        seen.stream(events[0])
        await client.received(b'"content":"a"')
        for event in events[1:]:
            for at in range(0, len(event), 7):
                seen.chunk(event[at : at + 7])
        seen.chunk(b"")

        body = (await client.answer()).body
        assert b"cache_n" not in body and b'"cached_tokens":7' not in body
        assert body.endswith(b"data: [DONE]\n\n")
        told = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
        assert told[1] == SHOWN
        assert counted(there) == (8, 7)


async def test_a_body_of_unknown_length_whose_end_cuts_a_count_says_nothing_of_it() -> None:
    async with discreet() as there:
        client, seen = await asked(there)
        seen.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{"a":1,"cached_tok')
        seen.send(b'ens":12')
        seen.connection.connection_lost(None)
        assert (await client.answer()).body == b'{"a":1,"cached_tokens":0'


async def test_an_engine_is_asked_for_what_can_be_read_and_refused_if_it_compresses() -> None:
    async with discreet() as there:
        ask = ("Accept-Encoding: gzip, br", f"Content-Length: {len(json.dumps({'model': 'one'}))}")
        client, seen = await asked(there, MANAGER, headers=ask)
        assert seen.headers["accept-encoding"] == "gzip, br"
        seen.reply(SAID)
        await client.answer()

        client, seen = await asked(there, headers=ask)
        assert seen.headers["accept-encoding"] == "identity"
        packed = zlib.compress(json.dumps(SAID).encode())
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: deflate\r\n"
        seen.send(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
        answer = await client.answer()
        assert (answer.status, b"hide_cached_tokens" in answer.body) == (502, True)
        assert there.leases("one") == 0


async def test_what_is_too_long_to_be_looked_into_ends_the_answer() -> None:
    async with discreet() as there:
        client, seen = await asked(there)
        seen.stream(b'data: {"a":1}\n\n')
        await client.received(b'"a"')
        seen.chunk(b'data: {"usage":{"x":"%b' % (b"1" * 200_000))
        await settle()
        answer = await client.answer()
        assert b"too long" in answer.body and b"1111" not in answer.body


async def test_a_reload_takes_effect_with_the_next_request() -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.add_key("anna")
        for hides, shown in ((False, SAID), (True, SHOWN), (False, SAID)):
            there.proxy.heed(settings("auth", hide_cached_tokens=hides))
            client, seen = await asked(there)
            seen.reply(SAID)
            assert (await client.answer()).json == shown


async def test_what_ends_a_stream_stays_behind_a_long_event_that_is_still_renamed() -> None:
    async with discreet() as there:
        client, seen = await asked(there)
        text = b"x" * 300_000
        seen.stream(b'data: {"text":"' + text[:200_000])
        await settle()
        first = text[200_000:] + b'","model":"a-file.gguf","cached_tokens":7}\n\n'
        last = b'data: {"model":"a-file.gguf"}'
        seen.send(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (first, last, b"")))

        body = (await client.answer()).body
        shown = b'data: {"text":"%b","model":"one","cached_tokens":0}\n\n' % text
        assert body == shown + b'data: {"model":"one"}'
