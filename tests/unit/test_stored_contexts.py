"""Stored contexts on disk."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from llamactl.core.ports.context_use import ANY_KEY
from llamactl.core.ports.contexts import ContextLimits
from llamactl.node.contexts import fingerprint
from llamactl.node.contexts.files import ContextFiles, Sidecar

NOW = time.time()
WHOLE = (
    b'{"slot": %b, "tokens": 1, "room": 1, "size": 1, "checksum": "", "saved_at": 1, "used_at": 1,'
    b' "fits": %b, "keys": %b}'
)
GIB = 1 << 30


def limits(**given: float) -> ContextLimits:
    return replace(ContextLimits(256, 10.0, 1000, 1.0, 86400.0), **given)  # type: ignore[arg-type]


def stored(
    files: ContextFiles, instance: str, slot: int = 0, size: int = 100, at: float = NOW,
    keys: tuple[str, ...] = (),
) -> Sidecar:  # fmt: skip
    folder = files.make_folder(instance)
    name = files.new_name(slot)
    (folder / name).write_bytes(os.urandom(size))
    one = Sidecar(slot, 500, 4096, 0, "", at, at, {"model": "a"}, [*keys])
    return files.keep(instance, name, one)


@pytest.fixture
def files(tmp_path: Path) -> ContextFiles:
    return ContextFiles(tmp_path / "contexts")


def names(files: ContextFiles) -> list[tuple[str, int]]:
    return [(one.instance_id, one.slot) for one in files.all()]


def test_only_our_user_can_read_them(files: ContextFiles) -> None:
    stored(files, "one")
    folder = files.folder_of("one")

    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_one_that_is_whole_is_found_again(files: ContextFiles) -> None:
    kept = stored(files, "one", slot=3)

    assert files.of("one") == [kept] and files.damage("one", kept) == ""


@pytest.mark.parametrize("harm", ["cut", "longer", "another", "link", "gone"])
def test_a_file_that_is_not_what_was_saved_is_refused(files: ContextFiles, harm: str) -> None:
    kept = stored(files, "one")
    path = files.folder_of("one") / files.name(0)
    data = path.read_bytes()
    if harm == "link":
        elsewhere = path.with_name("elsewhere")
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    elif harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:50], "longer": data + b"x", "another": data[::-1]}[harm])

    assert files.damage("one", kept) != ""


@pytest.mark.parametrize(
    "beside",
    [
        b"",
        b"{",
        b"[]",
        b'{"slot": 0}',
        b'{"slot": 0, "x": 1}',
        b"\xff" * 100_000,
        WHOLE % (b"0", b"5", b"[]"),
        WHOLE % (b"0", b"{}", b"[5]"),
        WHOLE % (b"1", b"{}", b"[]"),
        WHOLE % (b'"../../x"', b"{}", b"[]"),
    ],
)
def test_a_file_that_nobody_can_judge_is_nobodys_and_goes(
    files: ContextFiles, beside: bytes
) -> None:
    stored(files, "one")
    (files.folder_of("one") / "slot-0.json").write_bytes(beside)

    assert files.of("one") == [] and files.all() == []
    files.make_folder("one")
    assert [*files.folder_of("one").iterdir()] == []


@pytest.mark.parametrize("left", ["slot-0.new", "slot-7.bin", "slot-0.json-new", "other"])
def test_what_was_left_half_written_goes_before_the_next_start(
    files: ContextFiles, left: str
) -> None:
    kept = stored(files, "one")
    (files.folder_of("one") / left).write_bytes(b"x")
    files.make_folder("one")

    assert sorted(path.name for path in files.folder_of("one").iterdir()) == [
        "slot-0.bin", "slot-0.json",
    ]  # fmt: skip
    assert files.damage("one", kept) == ""


def test_the_least_recently_used_go_first_for_a_new_one(files: ContextFiles) -> None:
    for age, name in enumerate(("newest", "middle", "oldest")):
        stored(files, name, size=300, at=NOW - age)

    assert files.make_room("another", 9, 300, limits())
    assert names(files) == [("middle", 0), ("newest", 0)]


def test_one_instance_has_its_share(files: ContextFiles) -> None:
    stored(files, "other", size=100, at=NOW - 9)
    for slot in range(3):
        stored(files, "one", slot, size=150, at=NOW - slot)

    assert files.make_room("one", 9, 150, limits(share=0.5))
    assert names(files) == [("one", 0), ("one", 1), ("other", 0)]
    assert not files.make_room("one", 9, 600, limits(share=0.5))


def test_a_file_that_is_replaced_takes_no_room_of_its_own(files: ContextFiles) -> None:
    stored(files, "one", size=900)
    stored(files, "other", size=50)

    assert files.make_room("one", 0, 900, limits())
    assert names(files) == [("one", 0), ("other", 0)]
    assert not files.make_room("one", 0, 1001, limits())


def test_what_nobody_used_for_long_goes(files: ContextFiles) -> None:
    stored(files, "old", at=NOW - 10)
    stored(files, "new")

    files.make_room("new", 9, 1, limits(max_age=5.0 + time.time() - NOW))
    assert names(files) == [("new", 0)]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_the_disk_keeps_its_last_gibibyte(
    files: ContextFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(files, "one", size=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9 * GIB, 8 * GIB, GIB + 50))

    assert files.make_room("two", 9, 40, limits())
    assert names(files) == [("one", 0)]
    assert files.make_room("two", 9, 120, limits())
    assert names(files) == []
    assert not files.make_room("two", 9, 200, limits())


def test_without_a_budget_it_is_a_tenth_of_what_is_free(
    files: ContextFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.make_folder("one")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(900 * GIB, 0, 100 * GIB))
    auto = replace(limits(), disk=None)

    assert files.make_room("one", 9, 10 * GIB, auto)
    assert not files.make_room("one", 9, 10 * GIB + 1, auto)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9000 * GIB, 0, 8000 * GIB))
    assert files.make_room("one", 9, 20 * GIB, auto)
    assert not files.make_room("one", 9, 20 * GIB + 1, auto)


def test_those_of_a_key_of_an_instance_and_all_can_be_removed(files: ContextFiles) -> None:
    stored(files, "one", keys=("anna", "bert"))
    stored(files, "two", keys=("carl",))
    stored(files, "three", keys=(ANY_KEY,))

    assert files.drop_all("", "anna") == 2
    assert names(files) == [("two", 0)]
    assert files.drop_all("one", "") == 0
    assert files.drop_all("", "") == 1
    assert [*files.folder_of("two").iterdir()] == []


def test_a_deleted_instance_leaves_nothing(files: ContextFiles) -> None:
    stored(files, "one")
    files.drop_instance("one")
    files.drop_instance("one")

    assert not files.folder_of("one").exists()


def test_a_file_of_the_model_is_known_by_its_ends_and_size(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    seen = set()
    for content in (b"a" * 100, b"a" * 101, b"a" * (3 << 20), b"a" * (3 << 20) + b"b"):
        model.write_bytes(content)
        seen |= {fingerprint.of_files({"model": [str(model)]}, time.time() + 9)["model"]}
    assert len(seen) == 4

    with pytest.raises(fingerprint.FileChanged, match=r"m\.gguf was changed"):
        fingerprint.of_files({"model": [str(model)]}, time.time() - 60)
    with pytest.raises(FileNotFoundError):
        fingerprint.of_files({"model": ["/no/file"]}, time.time())


def test_what_differs_is_named() -> None:
    before, now = (
        {"model": "1", "cache_type_k": "f16", "build": "b1"},
        {"model": "1", "build": "b2"},
    )

    assert [*fingerprint.differences(before, now)] == ["build", "cache_type_k"]


class Killed(BaseException):
    """As if the process ended there."""


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("before", [False, True])
def test_an_end_at_any_step_leaves_a_sound_context_or_none(
    files: ContextFiles, monkeypatch: pytest.MonkeyPatch, step: int, *, before: bool
) -> None:
    if before:
        stored(files, "one", size=70)
    steps = iter(range(100))

    def watched(method: str) -> None:
        real = getattr(Path, method)

        def act(self: Path, *args: object, **more: object) -> object:
            if self.name.startswith("slot-") and next(steps) == step:
                raise Killed
            return real(self, *args, **more)

        monkeypatch.setattr(Path, method, act)

    for method in ("unlink", "replace", "chmod", "open"):
        watched(method)
    with suppress(Killed):
        stored(files, "one", size=90)
    monkeypatch.undo()

    files.make_folder("one")
    left = sorted(path.name for path in files.folder_of("one").iterdir())
    found = files.of("one")
    assert left == (["slot-0.bin", "slot-0.json"] if found else [])
    assert all(files.damage("one", one) == "" for one in found)


def test_a_sidecar_that_can_not_be_written_leaves_nothing(
    files: ContextFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    files.make_folder("one")
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space"):
        stored(files, "one")
    monkeypatch.undo()

    assert [*files.folder_of("one").iterdir()] == []
