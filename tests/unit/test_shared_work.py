"""However many ask for the numbers at once, engines are asked once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.api.routers.metrics import metrics
from llamactl.api.services import MetricsSources
from llamactl.api.shared_work import SharedWork
from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.provisions.contexts import Contexts
from llamactl.core.lifecycle import Lifecycle
from llamactl.core.ports.context_use import ContextUse
from llamactl.core.routes import ReadyInstance
from llamactl.observe import Meters
from support.fake_node import FakeNode


def test_those_who_ask_meanwhile_get_the_same_and_who_leaves_takes_nothing_away() -> None:
    async def run() -> None:
        shared, go, made = SharedWork[int](), asyncio.Event(), [0]

        async def work() -> int:
            made[0] += 1
            await go.wait()
            return made[0]

        first, second, third = (asyncio.ensure_future(shared(work)) for _ in range(3))
        await asyncio.wait([first], timeout=0)
        first.cancel()
        go.set()
        assert (await second, await third) == (1, 1)
        assert await shared(work) == 2

    asyncio.run(run())


def test_all_are_told_of_a_failure_and_the_next_one_tries_again() -> None:
    async def run() -> None:
        shared = SharedWork[int]()

        async def fails() -> int:
            raise ValueError

        async def works() -> int:
            return 1

        found = await asyncio.gather(shared(fails), shared(fails), return_exceptions=True)
        assert [type(one) for one in found] == [ValueError, ValueError]
        assert await shared(works) == 1

    asyncio.run(run())


@pytest.mark.parametrize("asking", [1, 50])
def test_a_flood_for_the_numbers_is_one_scrape(asking: int) -> None:
    """With `server.metrics_open` nobody needs a key for it."""

    async def run() -> int:
        scraped, go = [0], asyncio.Event()

        async def scrape(_: object) -> dict[str, str]:
            scraped[0] += 1
            await go.wait()
            return {"": "# TYPE x counter\nx_total 1\n"}

        async def nothing() -> None: ...

        numbers = MetricsSources(Meters, scrape, lambda _: 0, dict, nothing)
        replica = SimpleNamespace(
            ready=ReadyInstance("one", "127.0.0.1", 1, "", 1),
            runner=SimpleNamespace(now=Lifecycle()),
            context=SimpleNamespace(name="main"),
        )
        instance = SimpleNamespace(name="one", id="1", model_name="one")
        managed = SimpleNamespace(instance=instance, replica=replica)
        mine = SimpleNamespace(
            settings=SimpleNamespace(server=SimpleNamespace(metrics_open=True)),
            about=SimpleNamespace(settings=SettingsHolder(Settings())),
            instances=SimpleNamespace(all=lambda: [managed]),
            numbers=numbers,
            contexts=Contexts(FakeNode(), SettingsHolder(Settings()), ContextUse()),
        )
        asked = [
            asyncio.ensure_future(metrics(cast(Any, None), cast(Any, mine))) for _ in range(asking)
        ]
        await asyncio.wait(asked, timeout=0)
        await asyncio.sleep(0)
        go.set()
        for answer in await asyncio.gather(*asked):
            assert b'x_total{instance="one"} 1.0' in bytes(answer.body)
        return scraped[0]

    assert asyncio.run(run()) == 1
