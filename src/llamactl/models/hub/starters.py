"""Good first models: `starters.toml`, in the order in which they suit a machine."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from llamactl.models.hub.fit import Fit, Room, fit, needed

_QUICK = 4.5  # billion parameters for each token: readable speed on a processor of today


@dataclass(frozen=True, slots=True)
class Starter:
    name: str
    repo: str
    file: str
    license: str  # by the hub's name
    released: str  # "2025-04"
    active: float  # billion parameters that work on each token
    purpose: str
    source: str  # URL
    checked: date
    size: int | None = None  # bytes of a download; None: the hub says it


@dataclass(frozen=True, slots=True)
class Suited:
    """A starter on a machine."""

    starter: Starter
    fits: Fit | None
    memory: int | None  # bytes that it needs
    slow: bool  # because much of it would be computed without a GPU


@cache
def starters() -> tuple[Starter, ...]:
    text = files(__package__).joinpath("starters.toml").read_text(encoding="utf-8")
    return tuple(Starter(**row) for row in tomllib.loads(text)["model"])


def suited(given: Sequence[Starter], room: Room) -> list[Suited]:
    """What suits this machine best comes first: what fits and is quick, the largest of it first."""
    found = [_suited(one, room) for one in given]
    return sorted(found, key=_rank)


def _suited(one: Starter, room: Room) -> Suited:
    memory = None if one.size is None else needed(one.size)
    on_gpu = memory is not None and memory <= room.gpus
    fits = None if one.size is None else fit(one.size, room.total)
    return Suited(one, fits, memory, one.active > _QUICK and not on_gpu)


def _rank(one: Suited) -> tuple[int, int]:
    size = one.starter.size or 0
    if one.fits == "yes" and not one.slow:
        return 0, -size
    return {"yes": 1, None: 2, "tight": 3, "no": 4}[one.fits], size
