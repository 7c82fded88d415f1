"""Engines that sleep, on each way to reach a node."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from llamactl.backends.vllm.settings import VllmSettings
from llamactl.core.errors import UnknownProcess
from llamactl.core.events import ProcessId
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import NO_MODEL
from llamactl.core.ports.node import LaunchSpec, Node, PortChoice, WakeReport
from llamactl.node import ModelAccess, NodeAgent
from llamactl.policy.definition.engine_help import Vocabulary, read_help
from support import vllm_replay
from support.fake_engine import wrapper
from support.remote import reached

DEADLINE_S = 60.0
_FIRST = 18_000 + 500 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_KNOWN = Vocabulary(read_help("--enable-sleep-mode  it can sleep"))


async def permit(options: InstanceOptions) -> None: ...


async def known(options: InstanceOptions) -> Vocabulary:
    return _KNOWN


def spec_in(folder: Path, fault: str, *, sleep_s: float = 60.0) -> LaunchSpec:
    command = wrapper(folder / "vllm", sys.executable, vllm_replay.__file__)
    options = InstanceOptions(
        backend_type="vllm", backend_options={"model": "any"}, command_override=str(command),
        environment={"SLEEP_FAULT": fault}, idle_action="sleep",
    )  # fmt: skip
    ports = PortChoice(_FIRST, _FIRST + 499)
    return LaunchSpec("r", "i", "one", 1, options, VllmSettings().engine, ports, sleep_s=sleep_s)


@pytest.fixture(params=["local", *(f"remote {seed}" for seed in range(3))])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def play(
    folder: Path, kind: str, scene: Callable[[Node, ProcessId], Awaitable[None]], fault: str = "",
    *, sleep_s: float = 60.0,
) -> None:  # fmt: skip
    """On a node with a vLLM that is ready; nothing may be left running."""
    models = ModelAccess(lambda given: given, lambda *_: NO_MODEL, permit, known)
    agent = NodeAgent(folder, folder, {"PATH": os.environ["PATH"]}, models)
    try:
        async with asyncio.timeout(DEADLINE_S), reached(agent, kind) as node:
            record = await node.prepare(spec_in(folder, fault, sleep_s=sleep_s))
            await node.release(record.process)
            assert await node.until_ready(record.process, prove_key=False) is None
            await scene(node, record.process)
    finally:
        for record in await agent.prepared():
            agent.kill(record.process)
            await agent.wait_exit(record.process)
        await agent.close()


def test_it_sleeps_and_wakes_and_sleeps_again(tmp_path: Path, kind: str) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        assert await node.is_asleep(process) is False
        for turn in (1, 3):
            assert await node.sleep(process, 10.0, turn) == ""
            assert await node.is_asleep(process) is True
            assert await node.wake(process, 10.0, turn + 1) == WakeReport(slept=True)
            assert await node.is_asleep(process) is False

    asyncio.run(play(tmp_path, kind, scene))


def test_a_call_that_comes_late_does_nothing(tmp_path: Path, kind: str) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        assert await node.sleep(process, 10.0, 1) == ""
        assert (await node.wake(process, 10.0, 2)).slept
        assert "overtaken" in await node.sleep(process, 10.0, 1)
        assert await node.is_asleep(process) is False

    asyncio.run(play(tmp_path, kind, scene))


def test_what_did_not_sleep_is_not_woken(tmp_path: Path, kind: str) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        assert await node.wake(process, 10.0, 1) == WakeReport(slept=False)

    asyncio.run(play(tmp_path, kind, scene))
    assert "/wake_up" not in (tmp_path / "one.log").read_text()


@pytest.mark.parametrize(
    ("fault", "why"),
    [("ignored", "its own numbers say that it does not"), ("refused", "answered 500"),
     ("dies", "does not fall asleep")],
)  # fmt: skip
def test_what_only_says_that_it_sleeps_is_not_believed(
    tmp_path: Path, kind: str, fault: str, why: str
) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        try:
            assert why in await node.sleep(process, 10.0, 1)
        except UnknownProcess:
            assert fault == "dies", "over a line that loses answers, its end may come first"

    asyncio.run(play(tmp_path, kind, scene, fault))


def test_what_stays_asleep_is_said(tmp_path: Path, kind: str) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        assert await node.sleep(process, 10.0, 1) == ""
        report = await node.wake(process, 10.0, 2)
        assert report.slept and "say that it sleeps" in report.failure

    asyncio.run(play(tmp_path, kind, scene, "stays asleep"))


def test_a_process_that_was_not_started_for_it_neither_sleeps_nor_wakes(
    tmp_path: Path, kind: str
) -> None:
    async def scene(node: Node, process: ProcessId) -> None:
        assert "not started so" in await node.sleep(process, 10.0, 1)
        assert await node.wake(process, 10.0, 2) == WakeReport(slept=False)
        assert await node.is_asleep(process) is False
        with pytest.raises(UnknownProcess):
            await node.is_asleep(replace(process, generation=9))

    asyncio.run(play(tmp_path, kind, scene, sleep_s=0.0))
