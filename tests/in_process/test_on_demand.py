"""A request to what does not run: it is started, waited for, or refused."""

from __future__ import annotations

import asyncio

import pytest

from support.control_path import settle
from support.data_path import CHAT, MANAGER, DataPath, Response, data_path
from support.settings import settings


async def asking(
    there: DataPath, name: str, count: int = 1, **more: object
) -> list[asyncio.Task[Response]]:
    tasks = [asyncio.create_task(there.chat(name, **more)) for _ in range(count)]
    await settle()
    return tasks


async def test_what_is_off_is_started_by_the_first_request_and_serves_all() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        waiting = await asking(there, "one", 5)
        assert there.control.state("one") == "starting"
        assert there.control.on_demand.waiting == 5
        there.control.node.loaded("one")
        answers = await asyncio.gather(*waiting)

        assert [answer.status for answer in answers] == [200] * 5
        assert there.control.events("one").count("StartRequested") == 1
        assert (there.leases("one"), there.control.on_demand.waiting) == (0, 0)


async def test_what_fails_to_start_is_told_at_once_from_then_on() -> None:
    async with data_path(settings("instances", min_residency=0, failure_cool_down=60)) as there:
        await there.control.create("one", start=False)
        there.control.node.broken.add("one")
        answers = [await there.chat("one") for _ in range(2)]

        assert [(a.status, a.json["code"]) for a in answers] == [(503, "start_failed")] * 2
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert there.control.events("one").count("Exited") == 1, "one start for both"


async def test_what_may_not_be_started_by_requests_is_not() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False, on_demand_start=False)
        answer = await there.chat("one")

        assert answer.json["code"] == "not_running"
        assert "on_demand_start" in answer.json["error"]
        assert there.control.state("one") == "stopped"


async def test_an_idle_one_gives_way() -> None:
    async with data_path(settings("instances", min_residency=0, max_running_instances=1)) as there:
        await there.control.create("old")
        await there.control.create("new", start=False)
        assert (await there.chat("new")).status == 200
        assert (there.control.state("old"), there.control.state("new")) == ("stopped", "ready")


async def test_a_busy_one_serves_to_its_end_before_it_gives_way() -> None:
    async with data_path(settings("instances", min_residency=0, max_running_instances=1)) as there:
        await there.control.create("old")
        await there.control.create("new", start=False)
        there.engine.by_hand = True
        (busy,) = await asking(there, "old")
        seen = await there.engine.request(0)
        there.engine.by_hand = False
        (waits,) = await asking(there, "new")
        await there.control.until("old", "draining")  # once it had its turn
        assert not waits.done()
        seen.reply({"finished": True})

        assert (await busy).json == {"finished": True}
        assert (await waits).status == 200


async def test_without_evictions_a_request_is_refused() -> None:
    async with data_path(
        settings("instances", min_residency=0, max_running_instances=1, enable_lru_eviction=False)
    ) as there:
        await there.control.create("old")
        await there.control.create("new", start=False)
        answer = await there.chat("new")

        assert (answer.status, answer.json["code"]) == (409, "max_running_instances_reached")
        assert there.control.state("old") == "ready"


async def test_a_full_queue_is_said_at_once_and_its_shares_are_kept() -> None:
    async with data_path(settings("instances", min_residency=0, max_queue=4)) as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        greedy, modest = there.add_key("greedy"), there.add_key("modest")
        waiting = await asking(there, "one", 3, key=greedy)
        refused = await there.chat("one", key=greedy)
        waiting += await asking(there, "one", 1, key=modest)
        full = await there.chat("one", key=modest)
        there.control.node.loaded("one")

        assert [(a.status, a.json["code"]) for a in (refused, full)] == [(503, "queue_full")] * 2
        assert "3 requests with this key" in refused.json["error"]
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 4


@pytest.mark.parametrize(
    ("limit", "code"), [("on_demand_start_timeout", "start_timeout"),
                        ("queue_timeout", "queue_timeout")],
)  # fmt: skip
async def test_a_request_waits_no_longer_than_it_may(limit: str, code: str) -> None:
    async with data_path(
        settings("instances", min_residency=0, max_running_instances=1, **{limit: 0.05})
    ) as there:
        await there.control.create("busy", pinned=limit == "queue_timeout")
        await there.control.create("slow", start=False)
        there.control.node.loads = True
        if limit == "queue_timeout":
            await there.control.definitions.update("busy", {"pinned": False}, wait=False)
            there.engine.by_hand = True
            await asking(there, "busy")
        answer = await there.chat("slow")

        assert (answer.status, answer.json["code"]) == (503, code)
        assert there.control.on_demand.waiting == 0
        for replica in there.engine.seen:
            replica.reply({})


async def test_a_client_that_leaves_gives_its_place_up_and_the_start_goes_on() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        client = there.connect()
        client.ask("POST", CHAT, {"model": "one"}, key=MANAGER)
        await settle()
        assert there.control.on_demand.waiting == 1
        client.leave()
        await settle()
        assert there.control.on_demand.waiting == 0
        there.control.node.loaded("one")
        await settle()

        assert (there.control.state("one"), there.leases("one")) == ("ready", 0)
        assert there.engine.seen == []


async def test_a_key_that_is_revoked_ends_the_wait() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        (waits,) = await asking(there, "one", key=there.add_key("known"))
        there.ring.remove("known")
        answer = await waits

        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert there.engine.seen == []


async def test_an_instance_that_is_deleted_ends_the_wait() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        (waits,) = await asking(there, "one")
        await there.control.definitions.delete("one", force=True)
        answer = await waits

        assert (answer.status, answer.json["code"]) == (404, "model_not_found")


async def test_a_stop_that_drains_is_waited_for_or_called_off() -> None:
    for policy, same in (("wait", False), ("call_off", True)):
        async with data_path(settings("instances", min_residency=0, drain_policy=policy)) as there:
            await there.control.create("one")
            pid = there.control.replica("one").pid
            there.engine.by_hand = True
            (holds,) = await asking(there, "one")
            await there.control.instances.stop("one", wait=False, force=False)
            assert there.control.state("one") == "draining"
            there.engine.by_hand = False
            (comes,) = await asking(there, "one")
            (await there.engine.request(0)).reply({})

            assert [(await task).status for task in (holds, comes)] == [200, 200]
            assert (there.control.replica("one").pid == pid) == same, policy


async def test_nothing_is_started_while_it_could_not_be_written_down() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        there.control.store.away = True
        answer = await there.chat("one")

        assert (answer.status, answer.json["code"]) == (503, "start_failed")
        assert answer.json["details"]["class"] == "store_unavailable"
        assert there.control.state("one") == "stopped"


async def test_a_stream_that_waits_is_kept_open_with_comments() -> None:
    given = settings("server", loading_comments=0.01)
    async with data_path(given) as there:
        await there.control.create("one", start=False)
        there.control.node.loads = True
        client = there.connect()
        client.ask("POST", CHAT, {"model": "one", "stream": True}, key=MANAGER)
        await client.received(b": loading, 0 ahead")
        there.engine.by_hand = True
        there.control.node.loaded("one")
        seen = await there.engine.request(0)
        seen.stream(b"data: 1\n\n", b"")

        assert (await client.answer()).body.endswith(b"data: 1\n\n")
