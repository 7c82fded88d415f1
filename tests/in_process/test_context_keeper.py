"""Contexts on a disk that is slow, and saves that overlap."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.core.events import ProcessId
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.contexts import ContextLimits, ContextReport
from llamactl.node.contexts.files import ContextFiles, Sidecar
from llamactl.node.contexts.keeper import ContextKeeper, _asked
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
        return ContextReport()

    monkeypatch.setattr(one, "_within", written)
    for _ in range(2):  # a second one comes before the first is through
        await one.save(ONE, InstanceOptions(), SOON, (), "")
    waiting = asyncio.create_task(one.settled("one"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await one.settled("another")

    goes_on.set()
    await asyncio.wait_for(waiting, WITHIN_S)
    await asyncio.wait_for(one.settled(), WITHIN_S)


async def test_a_start_does_not_wait_for_what_is_being_taken_in_but_its_check_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, goes_on = keeper(tmp_path / "contexts"), threading.Event()
    stored(one.files)
    folder = one.files.folder_of("one")
    newer = Sidecar(0, 700, 512, 0, "", 2.0, 2.0, {}, [])
    (folder / "slot-0-newer.new").write_bytes(os.urandom(200))
    (folder / "slot-0-older.new").write_bytes(b"left by a crash")
    keep = one.files.keep

    def slowly(*given: Any) -> Sidecar:
        goes_on.wait(WITHIN_S)
        return keep(*given)

    async def written(*given: Any) -> Any:
        given[-1].args[-1].append(("slot-0-newer.new", newer))
        return ContextReport()

    monkeypatch.setattr(one.files, "keep", slowly)
    monkeypatch.setattr(one, "_within", written)
    await one.save(ONE, InstanceOptions(), SOON, (), "")
    assert await asyncio.wait_for(one.make_folder("one"), WITHIN_S)
    assert sorted(file.name for file in folder.iterdir()) == [
        "slot-0-newer.new", "slot-0.bin", "slot-0.json",
    ]  # fmt: skip

    check = asyncio.create_task(one._check("one"))
    await asyncio.sleep(0.01)
    assert not check.done()
    goes_on.set()
    assert await asyncio.wait_for(check, WITHIN_S) == {0: ""}
    assert [found.tokens for found in one.files.of("one")] == [700]


async def test_of_two_saves_the_later_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the earlier one takes longer to be taken in."""
    one, goes_on = keeper(tmp_path / "contexts"), threading.Event()
    folder = one.files.make_folder("one")
    saves = [Sidecar(0, tokens, 512, 0, "", 1.0, 1.0, {}, []) for tokens in (300, 400)]
    keep = one.files.keep

    def slowly(instance_id: str, name: str, sidecar: Sidecar) -> Sidecar:
        if sidecar.tokens == 300:
            goes_on.wait(WITHIN_S)
        return keep(instance_id, name, sidecar)

    async def written(*given: Any) -> Any:
        sidecar = saves.pop(0)
        (folder / f"{sidecar.tokens}.new").write_bytes(os.urandom(sidecar.tokens))
        given[-1].args[-1].append((f"{sidecar.tokens}.new", sidecar))
        return ContextReport()

    monkeypatch.setattr(one.files, "keep", slowly)
    monkeypatch.setattr(one, "_within", written)
    for _ in range(2):
        await one.save(ONE, InstanceOptions(), SOON, (), "")
    await asyncio.sleep(0.01)  # in which the later one would get ahead
    goes_on.set()
    await asyncio.wait_for(one.settled("one"), WITHIN_S)

    assert [(found.tokens, found.size) for found in one.files.of("one")] == [(400, 400)]


async def test_what_contexts_fit_is_read_once_for_each_process(tmp_path: Path) -> None:
    one, read = keeper(tmp_path / "contexts"), list[int]()

    class Engine:
        sort = ""

        def __init__(self, generation: int) -> None:
            process = ProcessId("one", generation)
            self.record = SimpleNamespace(instance_id="one", process=process)

        def fits(self) -> dict[str, str]:
            read.append(self.record.process.generation)
            return {"model": str(self.record.process.generation)}

    for generation in (1, 1, 2, 2):
        fits = one._trusted(cast(Any, Engine(generation)), SOON)
        assert fits == {"model": str(generation)}

    assert read == [1, 2]


def of_slot(slot: int, saved_at: float, asked: str, among: int) -> Sidecar:
    return Sidecar(slot, 500, 512, 0, "", saved_at, 1.0, {}, [], 0.0, asked, among)


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ([of_slot(0, 1.0, "a", 1)], "a"),
        ([of_slot(0, 1.0, "a", 2), of_slot(1, 1.1, "a", 2)], "a"),
        ([of_slot(0, 1.0, "a", 1), of_slot(1, 2.0, "b", 1)], "b"),
        ([of_slot(0, 3.0, "a", 1), of_slot(1, 2.0, "a", 2)], "a"),
        ([of_slot(0, 1.0, "a", 2)], ""),  # the other one may have had it
        ([of_slot(0, 1.0, "", 1)], ""),
        ([of_slot(0, 1.0, "a", 1), of_slot(1, 2.0, "", 0)], ""),
    ],
)  # fmt: skip
async def test_which_request_is_surely_among_what_is_stored(
    stored: list[Sidecar], asked: str
) -> None:
    assert _asked(stored) == asked
