"""Changes a JSON object by splicing: what is not changed keeps its bytes. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from llamactl.core.errors import MalformedBody
from llamactl.core.filters import Filters
from llamactl.core.instance import InstanceOptions
from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import Member, ObjectScanner
from llamactl.policy.body.model import MODEL_TWICE, parsed_object


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes of a body that are replaced. `start` and `end` are offsets in the body."""

    start: int
    end: int
    new: bytes = b""


def filters_of(options: InstanceOptions, synonyms: Iterable[frozenset[str]] = ()) -> Filters | None:
    """None where nothing is to be changed. `synonyms`: names of one parameter."""
    given = {*options.default_params, *options.set_params, *options.strip_params}
    if not given:
        return None
    groups = [*synonyms]
    others = {name: frozenset().union(*(g for g in groups if name in g)) - {name} for name in given}
    fixed = _as_json(options.set_params)
    strip = frozenset(options.strip_params)
    strip = strip.union(*(others[name] for name in {*strip, *fixed})) - fixed.keys()
    return Filters(strip, _as_json(options.default_params), fixed, others)


def _as_json(values: Mapping[str, object]) -> dict[str, str]:
    return {k: json.dumps(v, ensure_ascii=False, separators=(",", ":")) for k, v in values.items()}


def scanner_for(filters: Filters) -> ObjectScanner:
    """Feed it the body in parts, then get its `edits`."""
    return ObjectScanner(_names(filters.names))


def apply(filters: Filters, body: bytes) -> bytes:
    """For a small body. Raises MalformedBody if it is not a JSON object."""
    parsed_object(body)
    scanner = scanner_for(filters)
    scanner.feed(body)
    scanner.close()
    return Splicer(edits(filters, scanner)).feed(body)


def edits(filters: Filters, scanner: ObjectScanner) -> list[Edit]:
    """What `filters` change in the body that was scanned, in its order.

    Raises MalformedBody for more than one `model`.
    """
    if sum(member.name == "model" for member in scanner.members) > 1:
        raise MalformedBody(MODEL_TWICE)
    found, present = list[Edit](), set[str]()
    start = scanner.start
    kept = start  # the comma, or the bracket, after the last member that is kept
    gone = start  # the comma after the last one, if that is not
    for member in scanner.members:
        if member.before != gone:
            kept = member.before
        fixed = filters.fixed.get(member.name)
        if member.raw in filters.models and member.name == "model":
            fixed = None
        if (member.name in filters.strip and fixed is None) or (
            fixed is not None and member.name in present
        ):
            _remove(found, member, kept if kept != start else start + 1)
            gone = member.after
            continue
        present.add(member.name)
        kept = member.after
        if fixed is not None:
            found.append(Edit(member.value, member.end, fixed.encode()))
    is_empty = scanner.inner_end == start + 1 or (kept == start and _ends_with(scanner, gone))
    if more := _additions(filters, present):
        text = ",".join(more) if is_empty else "," + ",".join(more)
        found.append(Edit(scanner.inner_end, scanner.inner_end, text.encode()))
    return found


def _remove(found: list[Edit], member: Member, kept: int) -> None:
    """With one comma: the one after it or, of the last member, the one before it."""
    if not member.is_last:
        found.append(Edit(member.before + 1, member.after + 1))
        return
    while found and found[-1].start >= kept:  # what was taken out just before
        found.pop()
    found.append(Edit(kept, member.end))


def _ends_with(scanner: ObjectScanner, gone: int) -> bool:
    """Is what was taken out last the object's last member?"""
    return gone == scanner.end


def _additions(filters: Filters, present: set[str]) -> list[str]:
    wanted = {
        name: value
        for name, value in filters.defaults.items()
        if not filters.synonyms.get(name, frozenset()) & present
    }
    return [
        f"{json.dumps(name, ensure_ascii=False)}:{value}"
        for name, value in {**wanted, **filters.fixed}.items()
        if name not in present
    ]


# by the names: an instance gets new filters with each change of its state
_names = lru_cache(256)(Names)


class Splicer:
    """Applies edits to a body that comes in pieces."""

    def __init__(self, changes: Sequence[Edit]) -> None:
        self._edits = deque(changes)
        self._at = 0  # offset of the next byte

    def feed(self, data: bytes) -> bytes:
        """What takes the place of the next bytes of the body."""
        begin, at = self._at, self._at
        end = self._at = begin + len(data)
        out = []
        while self._edits and self._edits[0].start < end:
            edit = self._edits[0]
            out.append(data[at - begin : max(edit.start, at) - begin])
            if edit.start >= begin:
                out.append(edit.new)
            at = min(edit.end, end)
            if edit.end > end:
                break
            self._edits.popleft()
        return b"".join([*out, data[at - begin :]]) if out else data
