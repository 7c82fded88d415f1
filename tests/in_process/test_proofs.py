"""What is waited for after a restore hears of the answer, and of what was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from llamactl.core.ports.context_use import SentRequest
from llamactl.policy.body.token_counts import tokens
from llamactl.proxy.relay.exchange import _KEPT
from support.control_path import settle
from support.data_path import CHAT, data_path

USAGE = {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 7}}


@dataclass
class Listener:
    requests: int = 0
    said: list[tuple[int, int, SentRequest]] = field(default_factory=list)

    def sent(self) -> None:
        self.requests += 1

    def heard(self, prompt: int, cached: int, request: SentRequest) -> None:
        self.said.append((prompt, cached, request))


async def test_a_proof_hears_the_counts_and_the_request_of_any_size() -> None:
    listener = Listener()
    async with data_path() as there:
        one = (await there.control.create("one")).instance.id
        there.control.leases.contexts.proofs[one] = listener
        for text in ("a", "a" * _KEPT):
            body = {"model": "one", "cache_prompt": False, "text": text}
            client, seen = await there.held("POST", CHAT, body)
            seen.reply({"model": "one", "usage": USAGE})
            await client.answer()
            await settle()
            prompt, cached, request = listener.said.pop()
            assert (prompt, cached) == (8, 7)
            assert json.loads(b"".join(request.body)) == body
    assert listener.requests == 2


@pytest.mark.parametrize(
    ("status", "usage"), [(400, USAGE), (200, {"prompt_tokens": 8})], ids=["refused", "silent"]
)
async def test_an_answer_that_computes_no_context_proves_nothing(
    status: int, usage: dict[str, object]
) -> None:
    listener = Listener()
    async with data_path() as there:
        one = (await there.control.create("one")).instance.id
        there.control.leases.contexts.proofs[one] = listener
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        seen.reply({"model": "one", "usage": usage}, status)
        await client.answer()
        await settle()

    assert (listener.requests, listener.said) == (1, [])


async def test_the_last_request_that_was_sent_in_full_is_remembered() -> None:
    async with data_path() as there:
        one = (await there.control.create("one")).instance.id
        contexts = there.control.leases.contexts
        assert contexts.last_sent(one) is None
        for text in ("a", "a" * _KEPT):
            body = {"model": "one", "text": text}
            client, seen = await there.held("POST", CHAT, body)
            last = contexts.last_sent(one)
            assert last is not None and json.loads(b"".join(last.body)) == body
            assert not last.answer, "it is not complete"
            seen.reply({"model": "one", "usage": USAGE})
            await client.answer()
            await settle()
            assert tokens(last.answer).cached == 7


async def test_only_the_last_request_is_remembered() -> None:
    """Of each instance: what many clients wait for takes no memory here."""
    async with data_path() as there:
        one = (await there.control.create("one")).instance.id
        contexts = there.control.leases.contexts
        _, first = await there.held("POST", CHAT, {"model": "one"})
        before = contexts.last_sent(one)
        assert before is not None and before.body
        client, second = await there.held("POST", CHAT, {"model": "one"})

        assert contexts.last_sent(one) is not before and not before.body
        for seen in (first, second):
            seen.reply({"model": "one"})
        await client.answer()
