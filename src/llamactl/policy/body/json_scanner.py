"""Where the named top-level members of a JSON object are; works on bytes as they come. Pure.

Nothing here takes a Python step for each byte, escape, string or bracket of what is passed over:
a block is reduced to its brackets by calls that run at the speed of C, so that no content makes a
block expensive. What else can be wrong with a body is left to the engine that parses it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate

from llamactl.core.errors import MalformedBody
from llamactl.policy.body.json_names import MARK, Names
from llamactl.policy.body.json_strings import Strings, outside

DEEPEST = 512  # levels; parsers that recurse give up at about a thousand
_BLOCK = 1 << 15  # bytes looked at in one go, a fraction of a millisecond
_FIRST_BLOCK = 1 << 10  # each one after it is twice as long, until something is found
_LONGEST_KEPT = 1 << 16  # bytes of a value that is kept
_MOST_MEMBERS = 64  # of the names that are looked for; parsers differ on which of two counts
_SPACE = b" \t\r\n"
_QUOTE, _COMMA, _CLOSE, _COLON = b'",}:'
_MARK = MARK[0]
_SYMBOLS = MARK + b"{}[]"
_ROUND = bytes.maketrans(b"{[}]", b"(())")
_RUNS = re.compile(rb"(\)*+)(\(*+)")
_OTHERS = bytes(byte for byte in range(256) if byte not in _SYMBOLS)
_STEP = [{"{": 1, "[": 1, "}": -1, "]": -1}.get(chr(byte), 0) for byte in range(256)]
_SCALAR = re.compile(rb"[^,\]}\s\"{\[:]*+")


@dataclass(frozen=True, slots=True)
class Member:
    """One top-level member. All positions are offsets in the body."""

    name: str
    before: int  # the last non-space byte before it: a comma, or the object's bracket
    key: int
    value: int
    end: int  # after its value
    after: int  # the comma, or the object's bracket, that follows
    is_last: bool
    raw: bytes | None  # the value as it is written; None for a long one, an array or an object


class _At(Enum):
    """What comes next."""

    OBJECT = auto()
    KEY = auto()
    COLON = auto()  # a name ended where the data did: a colon makes it a key
    VALUE = auto()
    STRING = auto()  # the rest of a string that is a value
    SCALAR = auto()
    CONTAINER = auto()
    SEPARATOR = auto()
    END = auto()


class ObjectScanner:
    """Fed with a body piece by piece, it notes the members that bear one of the names."""

    def __init__(self, names: Names, most: int = _MOST_MEMBERS) -> None:
        """`most`: of the members may bear a name that an earlier one bears."""
        self.members: list[Member] = []
        self.start = -1  # offset of the object's first bracket
        self.end = -1  # and of its last one, once that has come
        self.inner_end = -1  # after the last non-space byte between them
        self._names = names
        self._most = most + len(names.all)
        self._at = _At.OBJECT
        self._first = self._block = max(_FIRST_BLOCK, 2 * names.longest)
        self._offset = 0  # of the next byte in the body, except for what is held
        self._held = b""  # the beginning of what may be a key
        self._before = -1  # offset of the last byte that was no space
        self._depth = 0
        self._strings = Strings()
        self._key = self._value = self._value_end = 0
        self._key_before = 0
        self._name = ""
        self._raw: list[bytes] | None = None
        self._steps = {
            _At.OBJECT: self._object, _At.KEY: self._seek, _At.COLON: self._colon,
            _At.VALUE: self._begin_value, _At.STRING: self._string, _At.SCALAR: self._scalar,
            _At.CONTAINER: self._container, _At.SEPARATOR: self._separator, _At.END: self._ended,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<ObjectScanner {self._at.name} at {self._offset}, {len(self.members)} found>"

    def feed(self, data: bytes) -> None:
        """Read on. Raises MalformedBody."""
        if self._held:
            data, self._held = self._held + data, b""
        at, size = 0, len(data)
        while at < size:
            block = data[at : at + self._block]
            used = self._steps[self._at](block)
            self._block = max(self._first, min(2 * self._block, _BLOCK))
            if not used and len(block) == size - at:
                self._held = block  # bounded by the longest name
                return
            if text := block[:used].rstrip(_SPACE):
                self._before = self._offset + len(text) - 1
            self._offset += used
            at += used

    def close(self) -> None:
        """The body is complete. Raises MalformedBody if it is cut short."""
        if self._at is not _At.END:
            raise MalformedBody("the request body is not valid JSON: unexpected end")

    # One step for each state: takes some of the block, returns how much.

    def _object(self, block: bytes) -> int:
        spaces = len(block) - len(block.lstrip(_SPACE))
        if spaces == len(block):
            return spaces
        if block[spaces : spaces + 1] != b"{":
            raise MalformedBody("the request body must be a JSON object")
        self.start = self._offset + spaces
        self._depth, self._at = 1, _At.KEY
        return spaces + 1

    def _seek(self, block: bytes) -> int:
        """Up to the next key that bears one of the names, or the end of the object."""
        clean = self._strings.clean(block)
        cut = self._cut(block, clean)
        if cut is None:
            return len(block)
        if cut < len(block):
            block, clean = block[:cut], clean[:cut]
        symbols = self._symbols(clean)
        if self._depth > 1 and self._stays_above(symbols, 1):
            return self._pass(clean, symbols)
        marked = self._names.mark(clean)
        if marked is not clean:
            symbols = _symbols(marked, in_string=self._strings.open)
        index = self._stop(symbols)
        if index is None:
            return self._pass(marked, symbols)
        found = self._position(marked, index)
        if marked[found] != _MARK:
            return self._over(block, found)
        end = clean.rfind(b'"', 0, found)
        begin = clean.rfind(b'"', 0, max(end, 0))
        match = self._names.name.fullmatch(block, max(begin, 0), end + 1)
        if match is None:
            raise _unexpected(block[found])
        text = block[:begin].rstrip(_SPACE)
        self._key_before = self._offset + len(text) - 1 if text else self._before
        self._begin(match[1], self._offset + begin)
        self._at = _At.VALUE
        return found + 1

    def _cut(self, block: bytes, clean: bytes) -> int | None:
        """How much of the block can be looked at before more has come: not half a key.

        None: the block is a name and spaces, and what follows says whether it is a key.
        """
        size, longest = len(block), self._names.longest
        if self._strings.ends_open(clean):
            begin = clean.rfind(b'"')
            may_be_key = begin >= 0 and size - begin <= longest
            return begin if may_be_key and (begin or self._depth == 1) else size
        if b'"' not in clean:
            return size
        text = clean.rstrip(_SPACE)
        begin = clean.rfind(b'"', 0, len(text) - 1) if text.endswith(b'"') else -1
        if begin < 0 or not self._names.name.fullmatch(block, begin, len(text)):
            return size
        if begin or self._depth != 1:
            return begin or size
        self._key_before = self._before
        self._begin(block[1 : len(text) - 1], self._offset)
        self._at = _At.COLON
        return None

    def _begin(self, spelled: bytes, key: int) -> None:
        self._name, self._key = _unquoted(spelled), key

    def _colon(self, block: bytes) -> int:
        rest = block.lstrip(_SPACE)
        if not rest:
            return len(block)
        if rest[0] != _COLON:  # it was a value
            self._at = _At.KEY
            return len(block) - len(rest) or self._seek(block)
        self._at = _At.VALUE
        return len(block) - len(rest) + 1

    def _begin_value(self, block: bytes) -> int:
        rest = block.lstrip(_SPACE)
        if not rest:
            return len(block)
        spaces = len(block) - len(rest)
        self._value = self._offset + spaces
        self._raw = []
        if rest[0] == _QUOTE:
            self._at = _At.STRING
            self._keep(b'"')
            return spaces + 1
        if rest[:1] in b"{[":
            self._raw = None
            self._at = _At.CONTAINER
            self._depth = 2
            return spaces + 1
        if not _scalar_end(rest):
            raise _unexpected(rest[0])
        self._at = _At.SCALAR
        return spaces or self._scalar(block)

    def _string(self, block: bytes) -> int:
        clean = self._strings.clean(block)
        end = clean.find(b'"')
        used = len(block) if end < 0 else end + 1
        self._keep(block[:used])
        self._strings.escaped = end < 0 and clean.endswith(b"\\")
        if end >= 0:
            self._value_ended(used)
        return used

    def _scalar(self, block: bytes) -> int:
        used = _scalar_end(block)
        self._keep(block[:used])
        if used < len(block):
            self._value_ended(used)
        return used or self._separator(block)

    def _container(self, block: bytes) -> int:
        clean = self._strings.clean(block)
        symbols = self._symbols(clean)
        if self._stays_above(symbols, 1):
            return self._pass(clean, symbols)
        used = self._position(clean, self._depths(symbols).index(1) - 1) + 1
        self._value_ended(used)
        return used

    def _separator(self, block: bytes) -> int:
        rest = block.lstrip(_SPACE)
        if not rest:
            return len(block)
        used = len(block) - len(rest) + 1
        if rest[0] not in (_COMMA, _CLOSE):
            raise _unexpected(rest[0])
        self.members.append(
            Member(
                self._name, self._key_before, self._key, self._value, self._value_end,
                self._offset + used - 1, rest[0] == _CLOSE,
                None if self._raw is None else b"".join(self._raw),
            )
        )  # fmt: skip
        if len(self.members) > self._most:
            raise MalformedBody(f"{self._name[:80]!r} appears too many times in the request body")
        if rest[0] == _CLOSE:
            return self._over(block, used - 1)
        self._at = _At.KEY
        return used

    def _ended(self, block: bytes) -> int:
        if rest := block.lstrip(_SPACE):
            raise _unexpected(rest[0])
        return len(block)

    # Inside.

    def _over(self, block: bytes, at: int) -> int:
        if block[at] != _CLOSE:
            raise _unexpected(block[at])
        self.end = self._offset + at
        text = block[:at].rstrip(_SPACE)
        self.inner_end = self._offset + len(text) if text else self._before + 1
        self._depth, self._at = 0, _At.END
        return at + 1

    def _keep(self, part: bytes) -> None:
        if self._raw is not None:
            self._raw.append(part)
            if sum(map(len, self._raw)) > _LONGEST_KEPT:
                self._raw = None

    def _value_ended(self, used: int) -> None:
        self._value_end = self._offset + used
        self._block = self._first // 2
        self._depth, self._at = 1, _At.SEPARATOR

    def _symbols(self, clean: bytes) -> bytes:
        """Raises MalformedBody for brackets that are nested too deep."""
        symbols = _symbols(clean, in_string=self._strings.open)
        opens = symbols.count(b"{") + symbols.count(b"[")
        if self._depth + opens > DEEPEST and self._range(symbols)[1] > DEEPEST:
            raise MalformedBody(f"the request body is nested more than {DEEPEST} deep")
        return symbols

    def _stays_above(self, symbols: bytes, level: int) -> bool:
        """Are more levels open all the time?"""
        closes = symbols.count(b"}") + symbols.count(b"]")
        return self._depth - closes > level or self._range(symbols)[0] > level

    def _range(self, symbols: bytes) -> tuple[int, int]:
        """The least and, but for the innermost few, the most levels that are open at a time."""
        text = symbols.translate(_ROUND, MARK)
        size = len(text) + 1
        while len(text) < size:  # what closes at once is most of a flat body
            size = len(text) * 9 // 10
            text = text.replace(b"()", b"")
        depth = least = most = self._depth
        for closes, opens in _RUNS.findall(text):
            depth -= len(closes)
            least = min(least, depth)
            depth += len(opens)
            most = max(most, depth)
        return least, most

    def _depths(self, symbols: bytes) -> list[int]:
        """How many levels are open before each symbol, and at the end."""
        return list(accumulate(map(_STEP.__getitem__, symbols), initial=self._depth))

    def _stop(self, symbols: bytes) -> int | None:
        """The index of the first mark at the object's own level, or of the object's end."""
        inner = symbols.lstrip(MARK) if self._depth > 1 else symbols
        inner = inner.replace(b"{" + MARK, b"{").replace(b"{}", b"")  # such marks are further in
        if MARK not in inner and self._stays_above(inner, 0):
            return None
        depths = self._depths(symbols)
        end = depths.index(0) - 1 if min(depths) <= 0 else len(symbols)
        at = symbols.find(MARK)
        while 0 <= at < end and depths[at] != 1:
            at = symbols.find(MARK, at + 1)
        end = at if 0 <= at < end else end
        return end if end < len(symbols) else None

    def _pass(self, clean: bytes, symbols: bytes) -> int:
        """Take in a block that holds nothing to stop at."""
        opens = symbols.count(b"{") + symbols.count(b"[")
        closes = symbols.count(b"}") + symbols.count(b"]")
        self._depth += opens - closes
        self._strings.passed(clean)
        return len(clean)

    def _position(self, clean: bytes, index: int) -> int:
        """Where in the block the symbol of this index is."""
        begin, end, in_string = 0, len(clean), self._strings.open
        while end - begin > 1:
            middle = (begin + end) // 2
            half = clean[begin:middle]
            count = len(_symbols(half, in_string=in_string))
            if index < count:
                end = middle
            else:
                index -= count
                in_string ^= bool(half.count(b'"') & 1)
                begin = middle
        self._strings = Strings()
        return begin


def _symbols(clean: bytes, *, in_string: bool) -> bytes:
    """The brackets and marks of a block that are not in strings."""
    return outside(clean, in_string=in_string).translate(None, _OTHERS)


def _scalar_end(block: bytes) -> int:
    found = _SCALAR.match(block)
    assert found is not None  # it may match nothing
    return found.end()


def _unquoted(inner: bytes) -> str:
    return str(json.loads(b'"' + inner + b'"'))


def _unexpected(byte: int) -> MalformedBody:
    return MalformedBody(f"the request body is not valid JSON: unexpected {chr(byte)!r}")
