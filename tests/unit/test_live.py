"""Who looks on and takes nothing costs no memory without bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from llamactl.api.routers.browser.live import MOST_NEWS, _read
from llamactl.core.events import InstanceEvent


class EndlessStory:
    """Always has one more event."""

    def __init__(self) -> None:
        self.told = 0

    async def follow(self, _: int | None) -> AsyncIterator[InstanceEvent]:
        while True:
            self.told += 1
            yield cast(InstanceEvent, self.told)
            if self.told > 10 * MOST_NEWS:
                pytest.fail("it is told on and on")


def test_news_that_nobody_takes_are_bounded() -> None:
    services = cast(Any, lambda: None)
    services.event_log = EndlessStory()
    news: list[InstanceEvent] = []

    asyncio.run(_read(services, 0, news))

    assert len(news) == MOST_NEWS
