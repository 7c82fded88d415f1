"""Engines that sleep: they are asked to, woken, and asked whether they do."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from llamactl.backends.sleep import SleepMode
from llamactl.core.memory import MeasuredMemory
from llamactl.core.ports.node import WakeReport
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine_client import EngineClient
from llamactl.node.own_thread import in_own_thread

_ASKED_S = 2.0
_EVERY_S = 0.1  # it is asked again whether it did so
_LATE = "a later call has overtaken it"
_GIVEN_BACK = 0.5  # of its GPU memory, at least, by what sleeps


async def is_asleep(one: EngineProcess) -> bool | None:
    """As `Node.is_asleep`."""
    if (mode := one.sleep_mode) is None:
        return False
    return await asyncio.to_thread(mode.is_asleep, _client(one, _ASKED_S).get)


async def sleep(one: EngineProcess, seconds: float, turn: int) -> str:
    """As `Node.sleep`."""
    if (mode := one.sleep_mode) is None:
        return "it was not started so that it can sleep"
    return await one.turns.take(turn, lambda: _sleep(one, mode, seconds), _LATE)


async def wake(one: EngineProcess, seconds: float, turn: int) -> WakeReport:
    """As `Node.wake`."""
    if (mode := one.sleep_mode) is None:
        return WakeReport(slept=False)
    late = WakeReport(slept=False, failure=_LATE)
    return await one.turns.take(turn, lambda: _wake(one, mode, seconds), late)


async def _sleep(one: EngineProcess, mode: SleepMode, seconds: float) -> str:
    before, client = await one.usage(), _client(one, seconds)
    try:
        await in_own_thread(partial(mode.fall_asleep, client.post))
    except OSError as exc:
        return f"it does not fall asleep: {exc}"
    if not await _becomes(mode, client, asleep=True):
        return "it accepted to sleep, and its own numbers say that it does not"
    if _keeps(before, await one.usage()):
        return "it says that it sleeps, and keeps its GPU memory"
    return ""


def _keeps(before: MeasuredMemory | None, after: MeasuredMemory | None) -> bool:
    """The memory that it should give back, where that can be measured."""
    if before is None or after is None:
        return False
    was, is_now = sum(before.gpus.values()), sum(after.gpus.values())
    return was > 0 and is_now > was * (1 - _GIVEN_BACK)


async def _wake(one: EngineProcess, mode: SleepMode, seconds: float) -> WakeReport:
    client = _client(one, seconds)
    slept = await asyncio.to_thread(mode.is_asleep, client.get)
    # an earlier llamactl may have asked it to sleep, and it is about to
    may_doze = one.adopted and not mode.by_itself
    if slept is False and not may_doze:
        return WakeReport(slept=False)
    try:
        await in_own_thread(partial(mode.wake, client.get_slowly, client.post))
    except OSError as exc:
        return WakeReport(slept is True, f"it does not wake: {exc}")
    # what sleeps by itself may do so again before its first request
    if not mode.by_itself and not await _becomes(mode, client, asleep=False):
        return WakeReport(slept is True, "it was woken, and its own numbers say that it sleeps")
    return WakeReport(slept is True)


async def _becomes(mode: SleepMode, client: EngineClient, *, asleep: bool) -> bool:
    """In a moment: its numbers may follow what it does."""
    last = min(client.until, time.monotonic() + _ASKED_S)
    while True:
        seen = await asyncio.to_thread(mode.is_asleep, client.get)
        if seen is asleep:
            return True
        if time.monotonic() >= last:
            return seen is None and not asleep  # it answered, and doesn't tell
        await asyncio.sleep(_EVERY_S)


def _client(one: EngineProcess, seconds: float) -> EngineClient:
    return EngineClient(one.record, one.key, time.monotonic() + seconds)
