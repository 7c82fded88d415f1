"""The names that are looked for in JSON, in all the ways in which JSON may write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

MARK = 1  # marks a key in a block; no JSON contains this byte
_QUOTE = ord('"')
_SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


class Names:
    """The members that are looked for. Made once, used for many bodies."""

    def __init__(self, names: Iterable[str]) -> None:
        self.all = frozenset(names)
        spelled = _spelled(self.all)
        first = b"".join({re.escape(name[:1].encode()) or b'"' for name in self.all}) + rb"\\"
        self.key = re.compile(rb'"(?=[%b])(%b)"[ \t\r\n]*+:' % (first, spelled))
        self.name = re.compile(rb'"(?:%b)"' % spelled)
        # the usual way to write them, found faster than by a pattern
        self.plain = [
            _Plain(name) for name in sorted(self.all)
            if json.dumps(name, ensure_ascii=False) == f'"{name}"'
        ]  # fmt: skip
        self.only_plain = len(self.plain) == len(self.all)
        longest = max((len(name.encode("utf-16-le")) // 2 for name in self.all), default=0)
        self.longest = 6 * longest + 2  # each UTF-16 unit may be written as \uXXXX

    def mark(self, block: bytes, clean: bytes) -> bytes:
        """`clean` with each key that bears one of the names replaced by a mark, length kept."""
        if b'"' not in clean:
            return clean
        marked = clean
        for plain in self.plain:
            if plain.name in marked:
                marked = marked.replace(plain.key, plain.mark)
                if plain.name in marked:  # as a value, or with spaces before its colon
                    marked = plain.spaced.sub(_mark, marked)
        if self.only_plain and b"\\u" not in clean:
            return marked
        found, at = list[bytes](), 0
        for match in self.key.finditer(block):
            start, end = match.span()
            if marked[start] == _QUOTE:  # neither marked yet, nor an escaped quote
                found += [marked[at:start], _mark(match)]
                at = end
        return b"".join([*found, marked[at:]]) if found else marked


class _Plain:
    """A name that JSON need not escape."""

    def __init__(self, name: str) -> None:
        self.name = f'"{name}"'.encode()
        self.key = self.name + b":"
        self.mark = bytes([MARK]).ljust(len(self.key), b"_")
        self.spaced = re.compile(re.escape(self.name) + rb"[ \t\r\n]++:")


def _mark(key: re.Match[bytes]) -> bytes:
    return bytes([MARK]).ljust(len(key[0]), b"_")


def _spelled(names: Iterable[str]) -> bytes:
    """A pattern for every way in which JSON may write the names.

    A first character that several share is tried once, whatever follows it.
    """
    rest: dict[str, list[bytes]] = {}
    for name in sorted(names):
        rest.setdefault(name[:1], []).append(b"".join(map(_character, name[1:])))
    return b"|".join(
        b"%b(?:%b)" % (_character(first), b"|".join(ends)) if first else b""
        for first, ends in rest.items()
    )


def _character(character: str) -> bytes:
    units = character.encode("utf-16-be")
    codes = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
    ways = [b"".join(rb"\\u" + b"".join(map(_digit, code)) for code in codes)]
    if character in _SHORT:
        ways.append(re.escape(f"\\{_SHORT[character]}".encode()))
    if character >= " " and character not in '"\\':
        ways.insert(0, re.escape(character.encode()))
    return b"(?:%b)" % b"|".join(ways)


def _digit(digit: str) -> bytes:
    """A hexadecimal one, in either case."""
    return digit.encode() if digit.isdigit() else f"[{digit.lower()}{digit.upper()}]".encode()
