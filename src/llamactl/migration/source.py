"""A source as a tree of plain values, whatever its text holds. It may come from anybody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from llamactl.core.bounded_yaml import read_bounded
from llamactl.core.errors import LlamactlError

_DEEPEST = 32
_MOST = 20_000  # values; an alias of YAML counts each time that it is used
_SHORT = 60


def read_yaml(text: str) -> Any:
    """Raises LlamactlError, also for a key that is there twice, where only one would count."""
    from llamactl.config import unreadable

    try:
        return read_bounded(text)
    except yaml.YAMLError as exc:
        raise LlamactlError(unreadable(exc)) from exc
    except (ValueError, OverflowError, RecursionError) as exc:  # 2026-02-31, and the like
        raise LlamactlError(f"a value in it can't be read: {exc}") from exc


def tidy(tree: object) -> Any:
    """Keys are texts, values are what JSON has. Raises LlamactlError if it is too large."""
    left = [_MOST]

    def one(value: object, depth: int) -> Any:
        left[0] -= 1
        if depth > _DEEPEST or left[0] < 0:
            raise LlamactlError("it is nested too deeply, or has too many values")
        if isinstance(value, Mapping):
            return {_text(key): one(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [one(inner, depth + 1) for inner in value]
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int) and abs(value) < 2**63:
            return value
        return value if isinstance(value, float) and math.isfinite(value) else _text(value)

    return one(tree, 0)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number that is too large"  # Python would refuse to write it out
    return value if isinstance(value, str) else str(value)


def number(value: object, least: float = 0) -> float:
    """Also one that is written as a text. Raises ValueError."""
    found = float(value) if isinstance(value, int | float | str) else float("nan")
    if isinstance(value, bool) or not least <= found <= 10**7:
        raise ValueError
    return found


def shown(value: object) -> str:
    """A value of the wrong kind, in a message."""
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
