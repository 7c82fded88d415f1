"""Stored contexts on disk: a folder for each instance, a file for each slot, and what it is.

Such a file is a transcript of what people wrote: only our user can read it. A sidecar says what it
fits and how to know that it is complete (`slot-0.json`); a file without one is nobody's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from llamactl.core.ports.context_use import ANY_KEY
from llamactl.core.ports.contexts import ContextLimits, StoredContext

_FLOOR = 1 << 30  # bytes of the disk that stay free
_SHARE, _MOST = 0.1, 20 << 30  # of what is free, and bytes: a budget that nobody set
_READ = 1 << 20
_LONGEST = 1 << 16  # bytes of a sidecar


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is known of one file; never what it says."""

    slot: int
    tokens: int
    room: int  # tokens that fit in the slot
    size: int
    checksum: str
    saved_at: float
    used_at: float
    fits: Mapping[str, str]
    keys: Sequence[str]
    speed: float = 0.0  # prompt tokens a second
    asked: str = ""  # by a request whose context one of the slots has that were saved at once
    among: int = 0  # so many


_SIDECAR = TypeAdapter(Sidecar)


class ContextFiles:
    """Blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<ContextFiles {self._folder}>"

    def folder_of(self, instance_id: str) -> Path:
        return self._folder / instance_id

    def make_folder(self, instance_id: str, spared: Collection[str] = ()) -> Path:
        """Without what was left half-written, but for the files so named. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        folder = self.folder_of(instance_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        known = {f"slot-{one.slot}" for one in self.of(instance_id)}
        for file in folder.iterdir():
            if file.name in spared:
                continue
            if file.suffix not in (".bin", ".json") or file.stem not in known:
                file.unlink(missing_ok=True)
        return folder

    # What there is.

    def of(self, instance_id: str) -> list[Sidecar]:
        """Of one instance, by slot."""
        found = (_read(path) for path in self.folder_of(instance_id).glob("slot-*.json"))
        return sorted((one for one in found if one is not None), key=lambda one: one.slot)

    def all(self) -> list[StoredContext]:
        return [
            StoredContext(folder.name, one.slot, one.tokens, one.size, one.saved_at, one.used_at,
                          frozenset(one.keys))
            for folder in self._folders() for one in self.of(folder.name)
        ]  # fmt: skip

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return sorted(path for path in self._folder.iterdir() if path.is_dir())
        return []

    # A file comes, is used, and goes.

    def new_name(self, slot: int) -> str:
        """For the engine, which writes it; of its own for each time, as one may be late."""
        return f"slot-{slot}-{secrets.token_hex(4)}.new"

    def touched(self, name: str, slot: int) -> Sequence[str]:
        """The files that `keep` touches."""
        beside = _beside(_path(Path(), slot))
        return name, self.name(slot), beside.name, _new(beside).name

    def keep(self, instance_id: str, name: str, sidecar: Sidecar) -> Sidecar:
        """Take the file in that the engine wrote under that name. Raises OSError."""
        folder = self.folder_of(instance_id)
        new, at = folder / name, _path(folder, sidecar.slot)
        new.chmod(0o600)
        kept = replace(sidecar, size=new.stat().st_size, checksum=_checksum(new))
        _beside(at).unlink(missing_ok=True)  # a file without it is nobody's, whatever comes now
        at.unlink(missing_ok=True)  # else ext4 writes the new one out first, its folder locked
        new.replace(at)
        try:
            _write(_beside(at), kept)
        except OSError:
            at.unlink(missing_ok=True)
            raise
        return kept

    def damages(self, instance_id: str) -> Mapping[int, str]:
        """By slot, as `damage`."""
        return {one.slot: self.damage(instance_id, one) for one in self.of(instance_id)}

    def damage(self, instance_id: str, sidecar: Sidecar) -> str:
        """Why the engine must not get its file; "" if it may. Reads all of it."""
        path = _path(self.folder_of(instance_id), sidecar.slot)
        try:
            found = path.lstat()
            if path.is_symlink() or found.st_size != sidecar.size:
                return "its file has another size than it was saved with"
            if _checksum(path) != sidecar.checksum:
                return "its file is not what was saved"
        except OSError as exc:
            return f"its file can't be read: {exc.strerror}"
        return ""

    def name(self, slot: int) -> str:
        """For the engine, which reads it."""
        return _path(Path(), slot).name

    def used(self, instance_id: str, sidecar: Sidecar) -> None:
        beside = _beside(_path(self.folder_of(instance_id), sidecar.slot))
        with suppress(OSError):
            _write(beside, replace(sidecar, used_at=round(time.time(), 3)))

    def drop_slot(self, instance_id: str, slot: int) -> None:
        path = _path(self.folder_of(instance_id), slot)
        for file in (_beside(path), path):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def drop(self, of: Callable[[StoredContext], bool]) -> int:
        """How many."""
        found = [one for one in self.all() if of(one)]
        for one in found:
            self.drop_slot(one.instance_id, one.slot)
        return len(found)

    def drop_instance(self, instance_id: str) -> None:
        """With whatever else is in its folder."""
        shutil.rmtree(self.folder_of(instance_id), ignore_errors=True)

    def drop_all(self, instance_id: str, key: str) -> int:
        """Of this instance, and that this key may have written in; "": of any."""
        return self.drop(
            lambda one: (
                (not instance_id or one.instance_id == instance_id)
                and (not key or not one.keys.isdisjoint((key, ANY_KEY)))
            )
        )

    # Their room.

    def make_room(self, instance_id: str, slot: int, size: int, limits: ContextLimits) -> bool:
        """For a file of that size, in place of the slot's own one. False: there is none.

        The least recently used go first.
        """
        self.drop(lambda one: time.time() - one.used_at > limits.max_age)
        others = (one for one in self.all() if (one.instance_id, one.slot) != (instance_id, slot))
        kept = sorted(others, key=lambda one: one.used_at)
        free = shutil.disk_usage(self._folder).free
        there = sum(one.size for one in kept)
        disk = min(_MOST, int((free + there) * _SHARE)) if limits.disk is None else limits.disk
        own = sum(one.size for one in kept if one.instance_id == instance_id)
        most_own = int(disk * limits.share)
        for one in kept:
            is_own = one.instance_id == instance_id
            too_much = there + size > disk or free - size < _FLOOR
            if too_much or (is_own and own + size > most_own):
                self.drop_slot(one.instance_id, one.slot)
                there, free, own = there - one.size, free + one.size, own - is_own * one.size
        return there + size <= disk and own + size <= most_own and free - size >= _FLOOR


def _path(folder: Path, slot: int) -> Path:
    return folder / f"slot-{slot}.bin"


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _new(beside: Path) -> Path:
    return beside.with_suffix(".json-new")


def _read(path: Path) -> Sidecar | None:
    """None for one that is damaged; its file is removed before the next start."""
    try:
        with path.open("rb") as file:
            sidecar = _SIDECAR.validate_json(file.read(_LONGEST), strict=True)
    except (OSError, ValueError):
        return None
    return sidecar if path.stem == f"slot-{sidecar.slot}" else None


def _write(path: Path, sidecar: Sidecar) -> None:
    new = _new(path)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(orjson.dumps(asdict(sidecar)))
    new.replace(path)


def _checksum(path: Path) -> str:
    """Finds accidents. Who can write the file can write its sidecar too, so a digest finds no more.

    It takes a fifth of the time of one, of a processor that an engine loads with meanwhile.
    """
    so_far = 0
    with path.open("rb") as file:
        while piece := file.read(_READ):
            so_far = zlib.crc32(piece, so_far)
    return f"crc32:{so_far:08x}"
