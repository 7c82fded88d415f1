"""Contexts on a disk that is slow, and saves that overlap."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.contexts import ContextLimits
from llamactl.node.contexts.files import ContextFiles, Sidecar
from llamactl.node.contexts.keeper import ContextKeeper
from llamactl.node.contexts.verdicts import Verdicts
from support.waits import WITHIN_S

ONE = cast(Any, SimpleNamespace(record=SimpleNamespace(instance_id="one")))
SOON = ContextLimits(256, 0.05, None, 1.0, 100.0)


def keeper(folder: Path) -> ContextKeeper:
    return ContextKeeper(ContextFiles(folder), Verdicts(folder / "verdicts.json"))


def stored(files: ContextFiles) -> None:
    folder = files.make_folder("one")
    (folder / "new").write_bytes(os.urandom(100))
    files.keep("one", "new", Sidecar(0, 500, 512, 0, "", 1.0, 1.0, {}, []))


async def test_a_start_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, goes_on = keeper(tmp_path / "contexts"), threading.Event()
    stored(one.files)

    def hang(*_: object) -> str:
        goes_on.wait(WITHIN_S)
        return ""

    monkeypatch.setattr(one.files, "damage", hang)
    one.begin("one")
    try:
        report = await one.restore(ONE, InstanceOptions(), SOON)
    finally:
        goes_on.set()

    assert report.slots == 0 and "longer than 0.05 s" in report.refused[0]


async def test_what_is_asked_for_waits_until_all_saves_are_taken_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, goes_on = keeper(tmp_path / "contexts"), threading.Event()
    monkeypatch.setattr(one, "_finish", lambda *_: goes_on.wait(WITHIN_S))

    async def written(*given: Any) -> Any:
        given[-1].args[-1].append(("name", None))

    monkeypatch.setattr(one, "_within", written)
    for _ in range(2):  # a second one comes before the first is through
        await one.save(ONE, InstanceOptions(), SOON, ())
    waiting = asyncio.create_task(one.settled("one"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await one.settled("another")

    goes_on.set()
    await asyncio.wait_for(waiting, WITHIN_S)
    await asyncio.wait_for(one.settled(), WITHIN_S)
