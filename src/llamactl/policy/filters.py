"""Changes a JSON object by splicing: what is not changed keeps its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from llamactl.core.errors import MalformedBody
from llamactl.core.filters import Filters
from llamactl.core.instance import InstanceOptions

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODE = json.JSONDecoder().raw_decode


def filters_of(options: InstanceOptions) -> Filters | None:
    """None where nothing is to be changed."""
    if not (options.default_params or options.set_params or options.strip_params):
        return None
    return Filters(
        frozenset(options.strip_params),
        _as_json(options.default_params),
        _as_json(options.set_params),
    )


def _as_json(values: Mapping[str, object]) -> dict[str, str]:
    return {k: json.dumps(v, ensure_ascii=False, separators=(",", ":")) for k, v in values.items()}


def apply(filters: Filters, body: bytes) -> bytes:
    """Raises MalformedBody for what is no JSON object."""
    try:
        text = body.decode()
        members = [*_members(text)]
    except (ValueError, IndexError, RecursionError) as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
    kept, present = list[str](), set[str]()
    for key, start, value_at, end in members:
        if key in filters.strip and key not in filters.fixed:
            continue
        fixed = filters.fixed.get(key)
        if key in present and fixed is not None:
            continue
        present.add(key)
        kept.append(text[start:end] if fixed is None else text[start:value_at] + fixed)
    for key, value in {**filters.defaults, **filters.fixed}.items():
        if key not in present:
            kept.append(f"{json.dumps(key, ensure_ascii=False)}:{value}")
    first = members[0][1] if members else text.index("{") + 1
    last = members[-1][3] if members else first
    return (text[:first] + ",".join(kept) + text[last:]).encode()


def _members(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Key, where the member starts, where its value does, where it ends.

    A member starts where the one before it, or its bracket, has ended, with the space between.
    """
    at = _skip(text, 0)
    if text[at] != "{":
        raise ValueError("it is no object")
    start = at + 1
    at = _skip(text, start)
    while text[at] != "}":
        if text[at] != '"':
            raise ValueError("a key is missing")
        key, at = _DECODE(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("a colon is missing")
        value_at = _skip(text, at + 1)
        _, end = _DECODE(text, value_at)
        at = _skip(text, end)
        yield key, start, value_at, at if text[at] == "," else end
        if text[at] == ",":
            start = at + 1
            at = _skip(text, start)
            if text[at] == "}":
                raise ValueError("a member is missing")
        elif text[at] != "}":
            raise ValueError("a comma is missing")
    if _skip(text, at + 1) != len(text):
        raise ValueError("something follows it")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
