"""What keeps Ray running on a machine starts it again, and leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.ray.keeper import RayKeeper
from llamactl.cluster.ray.lines import Lines
from llamactl.cluster.ray.members import Member
from support.ray_cluster import SOURCES, RayNode, ray_cluster
from support.waits import until

DEADLINE_S = 120.0
RAYLET, START = "raylet/raylet", "bin/ray start"


async def joined(lines: Lines) -> None:
    now: Sequence[Member] = ()
    while not any(one.there for one in now):
        try:
            now = await lines.members(now)
        except LineDown:
            await lines.reachable()


def replaced(node: RayNode, words: str, before: list[int]) -> None:
    until(
        f"another {words}", lambda: node.machine.pids(words),
        lambda now: now and not {*now} & {*before},
    )  # fmt: skip


@pytest.mark.parametrize("part", [RAYLET, START], ids=["raylet", "what started it"])
def test_ray_is_started_again_when_a_part_of_it_was_killed(part: str) -> None:
    async def run(node: RayNode) -> None:
        inside = node.machine.inside
        keeper = RayKeeper(node.ray, os.environ, inside=inside)
        environ = {**os.environ, "PYTHONPATH": str(SOURCES)}
        lines = Lines(node.ray, environ, inside=inside)
        kept = [asyncio.create_task(one.keep()) for one in (keeper, lines)]
        await joined(lines)
        raylets, killed = node.machine.pids(RAYLET), node.machine.pids(part)

        node.machine.run("kill", "-9", *map(str, killed))

        await asyncio.to_thread(replaced, node, part, killed)
        await asyncio.to_thread(replaced, node, RAYLET, raylets)
        await joined(lines)
        assert len(node.machine.pids(RAYLET)) == 1
        for one in kept:
            one.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        # Ray's agents see by themselves that their daemon is gone
        await asyncio.to_thread(until, "the end of all", lambda: node.machine.pids("ray") == [])

    with (
        TemporaryDirectory(dir="/tmp") as folder,
        ray_cluster(Path(folder), "one", start=False) as (node,),
    ):
        asyncio.run(asyncio.wait_for(run(node), DEADLINE_S))
