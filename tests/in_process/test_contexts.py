"""What an engine's slots hold outlives its process."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from llamactl.core.ports.context_use import ANY_KEY, SentRequest
from support.control_path import ControlPath, settle
from support.settings import settings
from support.waits import WITHIN_S

ASKED = b'{"prompt": "a"}'
ANSWER = b'"usage":{"prompt_tokens":500,"prompt_tokens_details":{"cached_tokens":0}}'
OTHERS = b'{"prompt": "b"}'  # who talk of something else


def keeping(**instances: object) -> ControlPath:
    there = ControlPath(settings("instances", **instances))
    there.node.keeps_contexts = True
    return there


async def test_a_stop_saves_and_the_next_start_restores_before_it_serves() -> None:
    there = keeping()
    await there.create("one")
    await there.instances.stop("one", wait=True, force=False)
    await there.instances.start("one", wait=True, evict=False)
    await there.event_log.settle()

    assert there.node.context_calls == [("restore", "one"), ("save", "one"), ("restore", "one")]
    events = there.events("one")
    assert events.index("ContextSaved") < events.index("Exited")
    assert events.index("ContextRestored") < len(events) - events[::-1].index("BecameReady")


async def test_a_stop_by_force_and_a_crash_save_nothing() -> None:
    there = keeping()
    await there.create("one")
    await there.instances.stop("one", wait=True, force=True)
    await there.instances.start("one", wait=True, evict=False)
    await there.crash("one")

    assert ("save", "one") not in there.node.context_calls


async def test_a_process_that_is_killed_while_it_saves_is_over() -> None:
    there = keeping()
    there.node.saving = asyncio.Event()
    await there.create("one")
    stop = asyncio.create_task(there.instances.stop("one", wait=True, force=False))
    await settle()
    assert there.state("one") == "stopping"
    there.node.crash("one")
    await settle()
    there.node.saving.set()
    await stop

    assert there.state("one") == "stopped" and not there.node.alive


async def test_a_stop_by_force_does_not_wait_for_a_save() -> None:
    there = keeping()
    there.node.saving = asyncio.Event()  # it never ends
    await there.create("one")
    stop = asyncio.create_task(there.instances.stop("one", wait=True, force=False))
    await settle()
    assert there.state("one") == "stopping"

    await there.instances.stop("one", wait=True, force=True)

    assert there.state("one") == "stopped" and not there.node.alive
    there.node.saving.set()
    await stop


async def test_the_keys_that_used_it_are_named_and_follow_it_into_the_next_process() -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    there.leases.contexts.used_by(one, "anna")
    await there.instances.stop("one", wait=True, force=False)
    assert there.node.stored == {one: frozenset({"anna"})}

    await there.instances.start("one", wait=True, evict=False)
    there.leases.contexts.used_by(one, "bert")
    await there.instances.stop("one", wait=True, force=False)
    assert there.node.stored == {one: frozenset({"anna", "bert"})}


async def test_very_many_keys_are_not_named_one_by_one() -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    for n in range(1001):
        there.leases.contexts.used_by(one, f"key{n}")
    await there.instances.stop("one", wait=True, force=False)

    assert there.node.stored == {one: frozenset({ANY_KEY})}


async def test_what_a_revoked_key_wrote_is_removed_and_not_saved_any_more() -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    there.leases.contexts.used_by(one, "anna")
    await there.instances.stop("one", wait=True, force=False)
    await there.instances.start("one", wait=True, evict=False)

    there.replicas.contexts.revoked("anna")
    await settle()
    assert there.node.stored == {}
    await there.instances.stop("one", wait=True, force=False)
    await there.event_log.settle()

    assert there.node.stored == {}
    [why] = [row.cause for row in there.store.event_log if row.event == "ContextNotSaved"]
    assert "revoked" in why


async def test_a_key_that_is_revoked_while_its_context_is_saved_leaves_none() -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    there.leases.contexts.used_by(one, "anna")
    there.node.saving = asyncio.Event()
    stopping = asyncio.create_task(there.instances.stop("one", wait=True, force=False))
    await there.node.saves.wait()
    there.replicas.contexts.revoked("anna")
    await settle()
    there.node.saving.set()
    await stopping
    await there.event_log.settle()

    assert there.node.stored == {}
    said = [(row.event, row.cause) for row in there.store.event_log if "Saved" in row.event]
    assert said == [("ContextNotSaved", "a key that may have used it was revoked")]
    meter = there.replicas.contexts.meters.of(one)
    assert (meter.saved, meter.not_saved) == (0, 1)


async def test_of_an_adopted_process_nobody_knows_who_used_it() -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    there.leases.contexts.used_by(one, "anna")
    later = await there.killed()
    later.node.keeps_contexts = True
    await later.come_back()
    await later.until("one", "ready")
    await later.instances.stop("one", wait=True, force=False)

    assert later.node.stored == {one: frozenset({ANY_KEY})}


async def restored(there: ControlPath, name: str = "one") -> str:
    """An instance that has been stopped and started; its id."""
    managed = await there.create(name)
    sent(there, managed.instance.id)
    await again(there, name)
    return managed.instance.id


def sent(
    there: ControlPath, instance_id: str, body: bytes = ASKED, answer: bytes = ANSWER,
    at: float | None = None,
) -> SentRequest:  # fmt: skip
    """A request, which is answered."""
    request = SentRequest(time.time() if at is None else at, [body], answer)
    there.leases.contexts.sent(instance_id, request)
    return request


def hear(there: ControlPath, instance_id: str, prompt: int, cached: int, body: bytes) -> None:
    """A request is sent and answered."""
    proof = there.leases.contexts.proofs.get(instance_id)
    request = sent(there, instance_id, body)
    if proof is not None:
        proof.heard(prompt, cached, request)


async def again(there: ControlPath, name: str = "one") -> None:
    await there.instances.stop(name, wait=True, force=False)
    await there.instances.start(name, wait=True, evict=False)


async def told(there: ControlPath) -> list[tuple[str, str, object]]:
    """What is said of the use of restored contexts."""
    await settle()
    await there.event_log.settle()
    return [
        (row.event, row.cause, row.details) for row in there.store.event_log
        if row.event in ("ContextUsed", "ContextNotUsed")
    ]  # fmt: skip


async def test_that_a_context_was_used_is_said_once_with_what_it_saved() -> None:
    there = keeping()
    one = await restored(there)
    for prompt, cached in ((20, 3), (510, 499), (510, 509)):
        hear(there, one, prompt, cached, ASKED)

    assert await told(there) == [("ContextUsed", "", {"tokens": 499, "seconds": 5.0})]
    assert there.leases.contexts.proofs == {}


async def test_what_is_not_used_twice_is_said_with_the_cure() -> None:
    there = keeping()
    one = await restored(there)
    hear(there, one, 510, 0, ASKED)
    await settle()
    await again(there)
    hear(there, one, 510, 2, b'{"prompt": "a and more"}')

    [first, second] = await told(there)
    assert (first[0], first[2]) == ("ContextNotUsed", {"misses": 1}) and "swa_full" in first[1]
    assert second[2] == {"misses": 2} and "no longer kept" in second[1]


@pytest.mark.parametrize(
    "more", [{"cache_prompt": False}, {"id_slot": 1}, {"lora": [{"id": 0}]}], ids=str
)
async def test_who_does_not_want_what_was_restored_proves_nothing(more: dict[str, object]) -> None:
    there = keeping()
    body = json.dumps({"prompt": "a", **more}).encode()
    one = (await there.create("one")).instance.id
    sent(there, one, body)
    await again(there)
    hear(there, one, 510, 0, body)
    assert await told(there) == []

    hear(there, one, 510, 500, body)
    assert [event for event, _, _ in await told(there)] == ["ContextUsed"]


@pytest.mark.parametrize("other", [OTHERS, b"[", b"{}", b""])
async def test_others_who_ask_right_after_a_restore_prove_nothing(other: bytes) -> None:
    """Nor the one who comes after them: what was restored may be gone by then."""
    there = keeping()
    one = await restored(there)
    for _ in range(3):
        hear(there, one, 510, 0, other)
        hear(there, one, 510, 0, ASKED)
        await settle()
        await again(there)

    assert await told(there) == []


async def test_who_asks_at_the_same_time_as_others_proves_nothing() -> None:
    """They may have got the slot first."""
    there = keeping()
    one = await restored(there)
    proof = there.leases.contexts.proofs[one]
    request = sent(there, one)
    sent(there, one, OTHERS)
    proof.heard(510, 0, SentRequest(request.at, [ASKED], request.answer))

    assert await told(there) == []


@pytest.mark.parametrize("last", [OTHERS, b""], ids=["others", "unknown"])
async def test_whose_context_another_one_took_before_the_save_proves_nothing(last: bytes) -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    sent(there, one)
    sent(there, one, last)
    await again(there)
    hear(there, one, 510, 0, ASKED)

    assert await told(there) == []


@pytest.mark.parametrize("answer", [b"", b'"usage":{"prompt_tokens":500}'], ids=["cut", "other"])
async def test_what_was_broken_off_or_computes_no_context_proves_nothing(answer: bytes) -> None:
    there = keeping()
    one = (await there.create("one")).instance.id
    sent(there, one, answer=answer)
    await again(there)
    hear(there, one, 510, 0, ASKED)

    assert await told(there) == []


async def test_nothing_is_shown_by_what_was_asked_on_another_day() -> None:
    """Its template may begin with the day."""
    there = keeping()
    one = (await there.create("one")).instance.id
    sent(there, one, at=time.time() - 24 * 3600)
    await again(there)
    hear(there, one, 510, 0, ASKED)

    assert await told(there) == []


async def test_that_nothing_is_shown_is_not_watched_for_ever() -> None:
    there = keeping()
    one = await restored(there)
    for _ in range(100):
        hear(there, one, 10, 0, OTHERS)

    assert there.leases.contexts.proofs == {}


async def test_nothing_is_watched_where_nothing_was_restored() -> None:
    there = keeping()
    await there.create("one")
    assert there.leases.contexts.proofs == {}

    await again(there)
    assert len(there.leases.contexts.proofs) == 1
    there.node.stored.clear()
    await there.instances.stop("one", wait=True, force=True)
    await there.instances.start("one", wait=True, evict=False)
    assert there.leases.contexts.proofs == {}


async def test_an_idle_instance_is_saved_from_time_to_time_if_that_is_asked_for() -> None:
    there = keeping(context_checkpoint_interval=0.01)
    await there.create("one")
    lease = there.lease("one")
    await asyncio.sleep(0.05)
    assert not there.node.saves.is_set()  # it is busy

    lease.release()
    async with asyncio.timeout(WITHIN_S):
        await there.node.saves.wait()
    await asyncio.sleep(0.05)
    assert there.node.context_calls.count(("save", "one")) == 1  # nobody used it since

    await there.crash("one")
    await there.instances.start("one", wait=True, evict=False)
    assert there.node.context_calls[-1] == ("restore", "one")


async def test_a_key_that_comes_while_an_idle_instance_is_saved_is_named_or_nothing_is_kept() -> (
    None
):
    there = keeping(context_checkpoint_interval=0.01)
    one = (await there.create("one")).instance.id
    there.node.saving = asyncio.Event()
    there.leases.contexts.used_by(one, "anna")
    there.lease("one").release()
    async with asyncio.timeout(WITHIN_S):
        await there.node.saves.wait()
    lease = there.lease("one")
    there.leases.contexts.used_by(one, "bert")
    there.node.saving.set()
    await settle()
    assert there.node.stored == {}

    there.node.saves.clear()
    lease.release()
    async with asyncio.timeout(WITHIN_S):
        await there.node.saves.wait()
    await settle()
    assert there.node.stored == {one: frozenset({"anna", "bert"})}
