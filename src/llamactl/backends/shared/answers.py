"""What an engine answered, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_MOST_VALUES = 50_000  # in JSON; parsing them takes milliseconds, of all threads


def parsed(text: str) -> Any:
    """Raises ValueError."""
    if sum(map(text.count, ",{[")) > _MOST_VALUES:
        raise ValueError("more values than any engine reports")
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def object_of(value: object) -> Mapping[str, Any]:
    """That was read, or is here as JSON; an empty one for anything else."""
    with suppress(ValueError):
        value = parsed(value) if isinstance(value, str) else value
    return value if isinstance(value, Mapping) else {}
