"""The names that are looked for in JSON, in all the ways in which JSON may write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from llamactl.policy.body.json_strings import BACKSLASH, QUOTE

MARK = b"\x01"  # in place of the colon after a key; no JSON contains this byte
_SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_CLEANED = {'"': QUOTE, "\\": BACKSLASH}
_Way = list[bytes]  # to write a character: a pattern for each byte


class Names:
    """The members that are looked for. Made once, used for many bodies."""

    def __init__(self, names: Iterable[str]) -> None:
        self.all = frozenset(names)
        self._spelled = _spelled(self.all, step=1)
        self.name = re.compile(rb'"(%b)"' % self._spelled)
        # the usual way to write them, found faster than by a pattern
        self._plain = [_Plain(name) for name in sorted(self.all) if _is_plain(name)]
        # without one of these in it, a block has no other spelling of any of the names
        has_short = any(not _SHORT.keys().isdisjoint(name) for name in self.all)
        self._escapes = (b"\\", QUOTE[:1]) if has_short else (b"\\u",)
        longest = max((len(name.encode("utf-16-le")) // 2 for name in self.all), default=0)
        self.longest = 6 * longest + 2  # each UTF-16 unit may be written as \uXXXX

    # Most bodies need neither of these, and compiling one takes milliseconds.

    @cached_property
    def _key(self) -> re.Pattern[bytes]:
        return re.compile(rb'"(?:%b)"[ \t\r\n]*+:' % self._spelled)

    @cached_property
    def _colon(self) -> re.Pattern[bytes]:
        """Reads backwards, since what is before a colon may be of any length."""
        return re.compile(rb':(?=[ \t\r\n]*+"(?:%b)")' % _spelled(self.all, step=-1))

    def mark(self, clean: bytes) -> bytes:
        """With a mark in place of the colon after each key that bears one of the names.

        However many there are, none takes a step of Python.
        """
        if b'"' not in clean:
            return clean
        marked, rest = clean, False
        for plain in self._plain:
            if plain.name in marked:
                marked = marked.replace(plain.key, plain.marked)
                rest = rest or (plain.name in marked and plain.spaced.search(marked) is not None)
        if not rest and any(escape in clean for escape in self._escapes):
            rest = self._key.search(marked) is not None
        return self._colon.sub(MARK, marked[::-1])[::-1] if rest else marked


def _is_plain(name: str) -> bool:
    """Can it be written without an escape?"""
    return json.dumps(name, ensure_ascii=False) == f'"{name}"'


class _Plain:
    """A name in the usual way to write it."""

    def __init__(self, name: str) -> None:
        self.name = f'"{name}"'.encode()
        self.key = self.name + b":"
        self.marked = b"_" * len(self.name) + MARK
        self.spaced = re.compile(re.escape(self.name) + rb"[ \t\r\n]++:")


def _spelled(names: Iterable[str], *, step: int) -> bytes:
    """A pattern for every way in which JSON may write the names; read backwards if `step` is -1.

    A first character that several share is tried once, whatever follows it. Escaped ones come
    last, in a group of their own: one that begins no name is left after one comparison.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        read = name[::step]
        groups.setdefault(read[:1], []).append(read[1:])
    empty = [b""] if groups.pop("", None) else []
    plain, escaped = list[bytes](), list[bytes]()
    for first, rests in groups.items():
        ends = b"|".join(b"".join(_character(c, step) for c in rest) for rest in rests)
        for way in _ways(first):
            found = plain if way[0] != rb"\\" else escaped
            found.append(b"%b(?:%b)" % (b"".join(way[::step]), ends))
    return b"|".join([*empty, *plain, *([b"(?:%b)" % b"|".join(escaped)] if escaped else [])])


def _character(character: str, step: int) -> bytes:
    return b"(?:%b)" % b"|".join(b"".join(way[::step]) for way in _ways(character))


def _ways(character: str) -> Iterator[_Way]:
    if character >= " " and character not in '"\\':
        yield [re.escape(bytes([byte])) for byte in character.encode()]
    if character in _CLEANED:
        yield [re.escape(bytes([byte])) for byte in _CLEANED[character]]
    if character in _SHORT:
        yield [rb"\\", re.escape(_SHORT[character].encode())]
    units = character.encode("utf-16-be").hex()
    yield [
        part
        for at in range(0, len(units), 4)
        for part in (rb"\\", b"u", *map(_digit, units[at : at + 4]))
    ]


def _digit(digit: str) -> bytes:
    """A hexadecimal one, in either case."""
    return digit.encode() if digit.isdigit() else f"[{digit.lower()}{digit.upper()}]".encode()
