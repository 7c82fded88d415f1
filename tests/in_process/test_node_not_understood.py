"""A node that answers a call with an error of its own keeps no instance from being controlled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llamactl.config import Settings
from llamactl.config.sections import InstancesSettings
from llamactl.control.lifecycle import retry
from llamactl.core.errors import LlamactlError, StartFailed
from support.control_path import ControlPath
from support.fake_node import FakeNode
from support.waits import WITHIN_S

REFUSED = LlamactlError("there is no such operation; does it run another version of llamactl?")


class OtherVersion(FakeNode):
    """Refuses some calls, a few times."""

    def __init__(self, *operations: str, times: int = 2) -> None:
        super().__init__()
        self.left = dict.fromkeys(operations, times)
        self.done = asyncio.Event()

    def __getattribute__(self, name: str) -> Any:
        left = super().__getattribute__("__dict__").get("left", {})
        if left.get(name, 0) == 0:
            return super().__getattribute__(name)
        left[name] -= 1
        if left[name] == 0:
            self.done.set()

        async def refuse(*_: object, **__: object) -> None:
            raise REFUSED

        return refuse


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_S", 0.001)


@pytest.mark.parametrize(
    "operation",
    ["until_ready", "restore_context", "save_context", "measure", "is_healthy", "wait_exit",
     "terminate"],
)  # fmt: skip
async def test_it_starts_stops_and_starts_again(operation: str) -> None:
    node = OtherVersion(operation, times=1)
    node.keeps_contexts = True
    settings = Settings(instances=InstancesSettings(health_interval=0.001))
    there = ControlPath(settings, node=node)
    await there.create("a")
    await there.until("a", "ready")
    if operation in ("measure", "is_healthy"):
        await asyncio.wait_for(node.done.wait(), WITHIN_S)
    await there.instances.stop("a", wait=True, force=False)
    await there.instances.start("a", wait=True, evict=False)

    assert node.done.is_set()
    assert node.alive == {there.replica("a").pid}


@pytest.mark.parametrize("operation", ["missing_image", "prepare"])
async def test_a_start_that_is_not_understood_fails_and_says_why(operation: str) -> None:
    node = OtherVersion(operation, times=1)
    there = ControlPath(node=node)
    with pytest.raises(StartFailed, match="another version of llamactl"):
        await there.create("a")
    await there.instances.start("a", wait=True, evict=False)

    assert node.alive == {there.replica("a").pid}


async def test_what_can_not_be_released_ends() -> None:
    node = OtherVersion("release", times=1)
    there = ControlPath(node=node)
    await there.create("a")

    assert there.replica("a").runner.now.restarts == 1
    assert node.alive == {there.replica("a").pid}
