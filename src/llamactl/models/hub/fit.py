"""Which models fit a machine, and which quantisation of one is recommended. Pure.

Judged by size, because nothing else is known of a file before it is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Fit = Literal["yes", "tight", "no"]

# What an engine needs besides the file: its buffers, and a context of some thousand tokens. Of
# dense models of 0.6 to 32 billion parameters at Q4_K_M, 4096 tokens at 16 bits take 0.4 to 1 GiB.
_BUFFERS = 1 << 29
_CONTEXT_SHARE = 4  # a quarter of the file
_BITS = re.compile(r"(?:UD-)?I?T?(?:Q|BF|F|MXFP|NVFP)(\d+)")
_LOW, _HIGH = 5, 6  # bits of the quantisations that lose little and are small, with most of Q4_K
_USUAL = "Q4_K_M"


class Room(NamedTuple):
    """Bytes of memory for one model, if nothing else runs."""

    total: int | None  # RAM and GPUs together; None: unknown or unlimited
    gpus: int = 0


class Sized(NamedTuple):
    quant: str
    size: int  # bytes


class Recommendation(NamedTuple):
    at: int  # index
    reason: str


def needed(size: int) -> int:
    """Bytes of memory for a model of that size, with room for a context."""
    return size + _BUFFERS + size // _CONTEXT_SHARE


def fit(size: int, room: int | None) -> Fit | None:
    """`room`: bytes of memory for one model. None: unknown, and so is whether it fits."""
    if room is None:
        return None
    return "yes" if needed(size) <= room else "tight" if size <= room else "no"


def recommended(found: Sequence[Sized], room: int | None) -> Recommendation | None:
    """None if nothing fits."""
    if room is None:
        return _usual(found)
    with_room = [n for n, one in enumerate(found) if fit(one.size, room) == "yes"]
    good = [n for n in with_room if _is_good(found[n].quant)]
    size = _size_in(found)
    if good:
        return Recommendation(
            max(good, key=size),
            "the largest from Q4_K_M to Q6_K that leaves memory for a context",
        )
    small = [n for n in with_room if _bits(found[n].quant) < _LOW]
    if small:
        return Recommendation(max(small, key=size), "the largest that leaves memory for a context")
    if with_room:
        return Recommendation(min(with_room, key=size), "the smallest, and it fits")
    tight = [n for n, one in enumerate(found) if fit(one.size, room) == "tight"]
    if not tight:
        return None
    return Recommendation(
        min(tight, key=size), "the smallest; it only just fits, so use a small context"
    )


def _usual(found: Sequence[Sized]) -> Recommendation | None:
    good = [n for n, one in enumerate(found) if _is_good(one.quant)]
    if not good:
        return None
    return Recommendation(
        min(good, key=_size_in(found)),
        f"the smallest from {_USUAL} to Q6_K; the memory for models is unknown or unlimited",
    )


def _size_in(found: Sequence[Sized]) -> Callable[[int], int]:
    return lambda n: found[n].size


def _is_good(quant: str) -> bool:
    four = re.search(r"Q4_K_(?:M|L|XL)$", quant) is not None
    return four or quant.startswith("MXFP4") or _LOW <= _bits(quant) <= _HIGH


def _bits(quant: str) -> int:
    """0 if the name does not say."""
    found = _BITS.match(quant)
    return int(found[1]) if found else 0
