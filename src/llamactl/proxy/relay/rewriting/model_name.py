"""The id that a client asked for, in place of what an engine calls itself in its answers.

Bytes are spliced, no JSON is read or written: only the value of `model` changes, where an API has
it. That is the answer's own member, or that of the `response` or `message` which an event holds
(https://platform.openai.com/docs/api-reference/responses-streaming,
https://docs.anthropic.com/en/docs/build-with-claude/streaming).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

import orjson

from llamactl.core.errors import MalformedBody
from llamactl.policy.body.filters import Edit, Splicer
from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import Member, ObjectScanner

_KEY: Final = b'"model"'
_MODEL: Final = re.compile(rb'"model"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TOKEN: Final = re.compile(
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL
)
_HOLDERS: Final = (b"response", b"message")
_OWN_NAMES, _ITEMS_NAMES = Names(["model", "response", "message"]), Names(["model"])
SMALL: Final = 1 << 12  # bytes of a document, or an event, that is looked at in one go
_PART: Final = 1 << 15  # bytes of a larger one
_MOST_AGAIN: Final = 4  # members of one name, of a larger one; finding each costs as much as a part
_MOST_ITEMS: Final = 256  # of an array of answers
_LABEL: Final = re.compile(rb"[^{\[]*+")  # of a line: `data: `
_SPACE, _NEXT = re.compile(rb"\s*+"), re.compile(rb"\s*+,\s*+(?={)")
_OWN, _HELD = 1, 2  # how deep the two places are
_LEAD: Final = 96  # bytes
_TELLING: Final = 24  # bytes of a lead that no other place begins with


@lru_cache(1024)
def member(name: str) -> bytes:
    """As engines write it that give this very name."""
    return _KEY + b":" + orjson.dumps(name)


class ModelName:
    """Of one answer."""

    __slots__ = ("_instead", "_lead", "_quoted")

    def __init__(self, name: str) -> None:
        self._quoted = orjson.dumps(name)
        self._lead = self._instead = b""

    def steps(self, data: bytes) -> Generator[None, None, bytes]:
        """In a JSON document, or its beginning; in parts that take a millisecond at most."""
        if len(data) <= SMALL:
            return self._spliced(data, lines=False)
        return (yield from self._in_parts(data, _after(_SPACE, data, 0)))

    def steps_in_event(self, line: bytes) -> Generator[None, None, bytes]:
        """In a line of an event stream, in such parts; for one that is large."""
        if _KEY not in line:
            return line
        return (yield from self._in_parts(line, _after(_LABEL, line, 0)))

    def _in_parts(self, data: bytes, start: int) -> Generator[None, None, bytes]:
        """`start`: where the JSON in it begins."""
        found = list[Edit]()
        for member in _members(data, start):
            if member is None:
                yield
            elif member.raw is not None and member.raw[:1] == b'"' and member.raw != self._quoted:
                found.append(Edit(member.value, member.end, self._quoted))
        return Splicer(found).feed(data)

    def put_in_events(self, data: bytes) -> bytes:
        """In complete lines of an event stream, each of whose events is one line of data.

        What leads to the name, the answer's id and time, is the same in each event of a stream:
        it is looked for first.
        """
        count = data.count(_KEY)
        if not count:
            return data
        if self._lead and data.count(self._lead) == count:
            return data.replace(self._lead, self._instead)
        return self._spliced(data, lines=True)

    def _spliced(self, data: bytes, *, lines: bool) -> bytes:
        pieces, done = list[bytes](), 0
        place = _Place(data, 0)
        start = seen = 0
        for at, begin, end in _names(data):
            start = data.rfind(b"\n", seen, at) + 1 or start if lines else 0
            seen = at
            if start != place.start:
                place = _Place(data, start)
            if data[begin:end] == self._quoted or not place.has_model(at):
                continue
            pieces += (data[done:begin], self._quoted)
            done = end
            self._remember(data, max(start, at - _LEAD), begin, end)
        return b"".join([*pieces, data[done:]]) if pieces else data

    def _remember(self, data: bytes, start: int, begin: int, end: int) -> None:
        start = max(start, data.rfind(b"}", start, begin), data.rfind(b"]", start, begin))
        if begin - start >= _TELLING:
            self._lead = data[start:end]
            self._instead = data[start:begin] + self._quoted


def _names(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Where the key is, and its value from its first quote to behind its last.

    A quote within a string is escaped: what generated text says can't look like this.
    """
    at = data.find(_KEY)
    while at >= 0:
        found = _MODEL.match(data, at)
        if found is not None and not data.endswith(b"\\", 0, at):
            yield at, *found.span(1)
        at = data.find(_KEY, at + len(_KEY))


_Places = Generator[Member | None, None, int]


def _members(data: bytes, start: int) -> Iterator[Member | None]:
    """Of a document: each `model` where an API has it, and None after each part of the work."""
    if data[start : start + 1] != b"[":
        for member in _scan(data, start, len(data), _OWN_NAMES):
            if member is None or member.name == "model":
                yield member
            elif data[member.value : member.value + 1] == b"{":
                yield from _scan(data, member.value, member.end, _ITEMS_NAMES)
        return
    at = _after(_SPACE, data, start + 1)
    for _ in range(_MOST_ITEMS):
        end = yield from _scan(data, at, len(data), _ITEMS_NAMES)
        if not end or not (at := _after(_NEXT, data, end)):
            return


def _scan(data: bytes, start: int, end: int, names: Names) -> _Places:
    """The members of the object that begins there. Returns where it ends; 0 if it doesn't."""
    scanner, seen, at = ObjectScanner(names, _MOST_AGAIN), 0, start
    while at < end and scanner.end < 0:
        part = data[at : min(at + _PART, end)]
        at += len(part)
        try:
            scanner.feed(part)
        except MalformedBody:  # what follows the object, or what the engine has to answer for
            at = end
        for member in scanner.members[seen:]:
            yield replace(member, value=member.value + start, end=member.end + start)
        seen = len(scanner.members)
        yield None
    return start + scanner.end + 1 if scanner.end >= 0 else 0


def _after(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where its match ends; 0 if it doesn't match."""
    found = pattern.match(data, at)
    return found.end() if found else 0


class _Place:
    """The position of a reader in a document, kept between calls."""

    __slots__ = ("_at", "_data", "_depth", "_holders", "_read", "start")

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self.start = self._at = self._read = start
        self._depth = 0
        self._holders = list[bytes]()  # by what key each open object is held; "[" for arrays

    def has_model(self, at: int) -> bool:
        """Is this a place where an API has the `model`?"""
        marks = _STRING.sub(b"", self._data[self._at : at])
        self._at = at
        self._depth += marks.count(b"{") + marks.count(b"[") - marks.count(b"}") - marks.count(b"]")
        return self._depth == _OWN or (self._depth == _HELD and self._is_held(at))

    def _is_held(self, at: int) -> bool:
        """By a holder, or by an array of answers, as llama-server gives for several prompts."""
        holders, key = self._holders, b""
        for token in _TOKEN.finditer(self._data, self._read, at):
            mark = token[0]
            if mark in (b"{", b"["):
                holders.append(key if mark == b"{" else mark)
            elif mark in (b"}", b"]") and holders:
                holders.pop()
            key = token[1] or b""
        self._read = at
        if len(holders) != _HELD:
            return False
        return holders[0] == b"[" or holders[1] in _HOLDERS
