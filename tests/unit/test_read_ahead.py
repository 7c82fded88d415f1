"""Files are read ahead on real disks, by a clock of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from threading import Event, Lock

import pytest

from llamactl.core.errors import ForbiddenBySettings
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import NO_MODEL
from llamactl.core.ports.node import EngineSettings, LaunchSpec, PortChoice
from llamactl.node import ModelAccess
from llamactl.node.engine.named_files import model_files
from llamactl.node.host.memory import cache_room, total_ram
from llamactl.node.host.read_ahead import FileReader
from support.uncached import uncached
from support.waits import WITHIN_S

_MIB = 1 << 20
_FAST = 1e12
_MUCH = 1 << 40


class Now:
    """Passes only while somebody pauses."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class CalledOff(Event):
    """By the clock; `after`: bytes that may be read before it is."""

    def __init__(self, clock: Now, after: int | None = None) -> None:
        super().__init__()
        self._clock, self._left = clock, after

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.seconds += timeout or 0.0
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.set()
        return self.is_set()


def read(
    files: Iterable[Path], *, rate: float = _FAST, pieces: int | None = None, room: int = _MUCH
) -> tuple[list[int], float]:
    """What it said after each piece, and the seconds that it took. `pieces`: then called off."""
    clock = Now()
    reader = FileReader(lambda: room, clock)
    said = [*reader.pieces(map(str, files), rate, CalledOff(clock, pieces))]
    return said, clock()


def test_what_is_not_in_the_cache_is_read_once(tmp_path: Path) -> None:
    file = uncached(tmp_path / "model", 20 * _MIB)

    assert read([file])[0] == [8 * _MIB, 16 * _MIB, 20 * _MIB]
    file.read_bytes()  # of each piece no more than a byte was waited for
    assert read([file])[0] == []


def test_it_reads_no_faster_than_it_may(tmp_path: Path) -> None:
    file = uncached(tmp_path / "model", 20 * _MIB)

    assert read([file], rate=5 * _MIB)[1] == pytest.approx(4.0)


def test_it_ends_with_the_piece_in_which_it_is_called_off(tmp_path: Path) -> None:
    files = [uncached(tmp_path / name, 20 * _MIB) for name in ("one", "two")]

    assert read(files, pieces=2)[0] == [8 * _MIB, 16 * _MIB]


def test_nothing_is_read_where_memory_is_short(tmp_path: Path) -> None:
    file = uncached(tmp_path / "model", 20 * _MIB)

    assert read([file], room=20 * _MIB - 1)[0] == []
    assert read([file], room=20 * _MIB)[0][-1] == 20 * _MIB


def test_it_ends_where_memory_becomes_short(tmp_path: Path) -> None:
    file, clock, rooms = uncached(tmp_path / "model", 20 * _MIB), Now(), iter([_MUCH, _MUCH, 0])
    reader = FileReader(lambda: next(rooms), clock)

    assert [*reader.pieces([str(file)], _FAST, Event())] == [8 * _MIB, 16 * _MIB]


def test_where_nothing_is_known_of_the_memory_nothing_is_read(tmp_path: Path) -> None:
    file = uncached(tmp_path / "model", _MIB)

    assert [*FileReader(lambda: None).pieces([str(file)], _FAST, Event())] == []


def test_a_file_that_is_cut_meanwhile_ends_there(tmp_path: Path) -> None:
    file = uncached(tmp_path / "model", 20 * _MIB)
    said = FileReader(lambda: _MUCH).pieces([str(file)], _FAST, Event())

    assert next(said) == 8 * _MIB
    os.truncate(file, 9 * _MIB)
    assert [*said] == [9 * _MIB]


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")  # opening it would wait for a writer
    (loop := tmp_path / "loop").symlink_to(loop)
    (link := tmp_path / "link").symlink_to(uncached(tmp_path / "model", _MIB))
    files = [pipe, loop, tmp_path, Path("/dev/zero"), tmp_path / "missing", Path("a\0b"), link]

    assert read(files)[0] == [_MIB]


def test_each_disk_has_one_reader(tmp_path: Path) -> None:
    one, two = (uncached(tmp_path / name, 20 * _MIB) for name in ("one", "two"))
    reader = FileReader(lambda: _MUCH)
    first = reader.pieces([str(one)], _FAST, Event())
    next(first)

    assert [*reader.pieces([str(two)], _FAST, Event())] == []
    first.close()
    assert [*reader.pieces([str(two)], _FAST, Event())][-1] == 20 * _MIB


def test_a_disk_that_does_not_answer_is_not_waited_for_and_takes_few_threads() -> None:
    asked, hangs = list[None](), Lock()
    hangs.acquire()

    def room() -> int:
        asked.append(None)
        with hangs:
            return 0

    async def files() -> list[str]:
        return []

    async def leave(reader: FileReader) -> None:
        async with aclosing(reader.read(files, 1)) as progress:
            reading = asyncio.create_task(anext(progress, None))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait({reading})

    async def leave_often() -> None:
        reader = FileReader(room)
        async with asyncio.timeout(WITHIN_S):
            for _ in range(10):
                await leave(reader)

    asyncio.run(leave_often())
    hangs.release()

    assert len(asked) == 4


def test_files_may_take_less_than_all_memory() -> None:
    total = total_ram()

    assert total is not None
    assert (cache_room() or 0) < total * 0.9


def test_a_models_files_are_all_its_parts_and_what_is_in_its_folder(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors", "config.json"):
        (tmp_path / name).touch()
    split = {"model": f"{tmp_path}/m-00001-of-00002.gguf", "mmproj": "/p.gguf", "log_file": "/log"}
    folder = InstanceOptions("vllm", backend_options={"model": str(tmp_path)})

    assert [*model_files(InstanceOptions(backend_options=split))] == [
        f"{tmp_path}/m-00001-of-00002.gguf", f"{tmp_path}/m-00002-of-00002.gguf", "/p.gguf",
    ]  # fmt: skip
    assert [*model_files(folder)] == [f"{tmp_path}/{name}.safetensors" for name in "ab"]
    assert [*model_files(InstanceOptions("vllm", backend_options={"model": "some/name"}))] == []


@pytest.mark.parametrize("trusted", [True, False])
def test_what_the_settings_forbid_is_not_read(*, trusted: bool) -> None:
    async def forbid(_: InstanceOptions) -> None:
        raise ForbiddenBySettings("not here", ["model"])

    access = ModelAccess(lambda given: given, lambda *_: NO_MODEL, forbid)
    options = InstanceOptions(backend_options={"model": "/m.gguf"})
    spec = LaunchSpec(
        "r", "i", "one", 1, options, EngineSettings(), PortChoice(1, 2), trusted=trusted
    )

    assert [*asyncio.run(access.files(spec))] == (["/m.gguf"] if trusted else [])
