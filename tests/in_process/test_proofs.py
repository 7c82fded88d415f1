"""What is waited for after a restore hears of the answer, and of what was asked."""

from __future__ import annotations

import json

from llamactl.proxy.relay.exchange import _KEPT
from support.control_path import settle
from support.data_path import CHAT, data_path

USAGE = {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 7}}


async def test_a_proof_hears_the_counts_and_the_request_of_any_size() -> None:
    heard = list[tuple[int, int, object]]()
    async with data_path() as there:
        one = (await there.control.create("one")).instance.id
        proofs = there.control.leases.contexts.proofs
        proofs[one] = lambda *seen: heard.append(seen)
        for text in ("a", "a" * _KEPT):
            body = {"model": "one", "cache_prompt": False, "text": text}
            client, seen = await there.held("POST", CHAT, body)
            seen.reply({"model": "one", "usage": USAGE})
            await client.answer()
            await settle()
            prompt, cached, request = heard.pop()
            assert (prompt, cached) == (8, 7) and isinstance(request, bytes)
            assert json.loads(request) == body
