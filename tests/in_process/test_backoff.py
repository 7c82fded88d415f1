"""What ends again and again is started again more and more seldom."""

from __future__ import annotations

import asyncio

from llamactl.cluster.ray.backoff import Backoff


class Clock(asyncio.SelectorEventLoop):
    now = 0.0

    def time(self) -> float:
        return super().time() + self.now


def test_each_end_in_a_row_is_followed_by_a_longer_pause_up_to_a_limit() -> None:
    loop = Clock()

    async def run() -> list[float]:
        backoff, pauses = Backoff(0.5, 4.0), list[float]()
        for lived_s in (1, 1, 1, 1, 1, 40, 1):
            backoff.begins()
            loop.now += lived_s
            pauses.append(backoff.ended())
        return pauses

    try:
        assert loop.run_until_complete(run()) == [0.5, 1.0, 2.0, 4.0, 4.0, 0.5, 1.0]
    finally:
        loop.close()
