"""Which model does a request's body name? Pure; works on bytes."""

from __future__ import annotations

import json
import re
from enum import Enum, auto

import orjson

from llamactl.core.errors import MalformedBody, ModelMissing

_ESCAPED = re.compile(rb"\\u00[46][0-9a-fA-F]")  # a letter that needed no escape
_TWICE = '"model" stands more than once in the request; name one'
_NOT_AN_OBJECT = "the request body must be a JSON object"


def model_of_json(body: bytes) -> str:
    """The top-level `model` of a JSON object. Raises MalformedBody or ModelMissing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise MalformedBody(_NOT_AN_OBJECT)
    # a second one can't hide but in escapes
    if (body.count(b'"model"') > 1 or b"\\u00" in body) and _named_twice(body):
        raise MalformedBody(_TWICE)
    model = value.get("model")
    return model if isinstance(model, str) and model else checked_model(model)


def _named_twice(body: bytes) -> bool:
    """Is there more than one top-level `model`? Parsers differ on which of them counts."""
    if body.count(b'"model"') < 2 and not _ESCAPED.search(body):  # noqa: PLR2004
        return False
    top: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        top[:] = pairs  # objects end from the inside out: the last one is the outermost

    try:
        json.loads(body, object_pairs_hook=keep)
    except RecursionError as exc:
        raise MalformedBody("the request body is nested too deep") from exc
    return sum(key == "model" for key, _ in top) > 1


def checked_model(model: object) -> str:
    if model is None or model == "":
        raise ModelMissing('the request names no model: set "model" to an instance\'s name')
    if not isinstance(model, str):
        raise MalformedBody('"model" must be a string')
    return model


class _At(Enum):
    """What comes next at the top level."""

    OBJECT = auto()
    KEY = auto()
    COLON = auto()
    VALUE = auto()
    COMMA = auto()
    END = auto()


_STRING_STOP = re.compile(rb'["\\]')
# further in: runs of anything but brackets, whole strings included, at the speed of C
_DEEP_RUN = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_TOP_STOP = re.compile(rb'["{}\[\]:,]')
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_CLOSER = {ord("{"): ord("}"), ord("["): ord("]")}
_DEEPEST = 1024  # as orjson's limit
_MOST_STEPS = 1_000_000
_LONGEST = 1 << 16  # bytes of a key, or of the model
_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_NULL = ord("n")


class ModelScanner:
    """Finds the top-level `model` in JSON that comes in pieces, and keeps none of them.

    It looks at strings, brackets and, at the top level, at colons and commas. What else can be
    wrong with a body it leaves to the engine: parsing 64 MB of numbers would cost gigabytes.
    """

    def __init__(self) -> None:
        self.model: str | None = None
        self._at = _At.OBJECT
        self._open = bytearray()  # the closers to come, outermost first
        self._in_string = False
        self._escaped = False  # the piece before ended within an escape
        self._kept: list[bytes] | None = None  # the string that is read, at the top level
        self._kept_size = 0
        self._key: str | None = None
        self._named = False
        self._steps = 0

    def feed(self, data: bytes) -> None:
        """Read on. Raises MalformedBody or ModelMissing."""
        at, size = 0, len(data)
        if self._escaped and data:
            self._escaped = False
            self._keep(data[:1])
            at = 1
        while at < size:
            at = self._string(data, at) if self._in_string else self._structure(data, at)

    def end(self) -> str:
        """The body is whole: its model. Raises MalformedBody or ModelMissing."""
        if self._at is not _At.END:
            raise MalformedBody("the request body is not valid JSON: it ends too early")
        return checked_model(self.model)

    def _string(self, data: bytes, at: int) -> int:
        stop = _STRING_STOP.search(data, at)
        if stop is None:
            self._keep(data[at:])
            return len(data)
        found = stop.start()
        if data[found] == _BACKSLASH:
            self._escaped = found + 1 == len(data)
            self._keep(data[at : found + 2])
            return found + 2
        self._keep(data[at:found])
        self._in_string = False
        if len(self._open) == 1:
            self._string_ended()
        return found + 1

    def _keep(self, part: bytes) -> None:
        if self._kept is not None:
            self._kept_size += len(part)
            if self._kept_size > _LONGEST:
                self._kept = None
                if self._at is _At.VALUE:
                    raise MalformedBody('"model" is too long')
            else:
                self._kept.append(part)

    def _string_ended(self) -> None:
        kept, self._kept = self._kept, None
        if self._at is _At.KEY:
            self._key = None if kept is None else _unquoted(b"".join(kept))
            if self._key == "model" and self._named:
                raise MalformedBody(_TWICE)
            self._named = self._named or self._key == "model"
            self._at = _At.COLON
        else:
            if self._key == "model" and kept is not None:
                self.model = checked_model(_unquoted(b"".join(kept)))
            self._at = _At.COMMA

    def _structure(self, data: bytes, at: int) -> int:
        self._count_step()
        top = len(self._open) <= 1
        if top and self._at is _At.VALUE and self._key == "model":
            first = _NOT_SPACE.search(data, at)
            if first is None:
                return len(data)
            if data[first.start()] != _QUOTE:
                checked_model(None if data[first.start()] == _NULL else 0)
        found = self._next_stop(data, at, top=top)
        if found == len(data):
            if top and self._at in (_At.OBJECT, _At.END) and _NOT_SPACE.search(data, at):
                raise MalformedBody(_NOT_AN_OBJECT)
            return len(data)
        if top:
            self._check_gap(data, at, found)
        byte = data[found]
        if byte == _QUOTE:
            self._begin_string(top=top)
        elif byte in _CLOSER:
            self._opened(byte)
        elif byte in (_COLON, _COMMA):
            self._separated(byte)
        else:
            self._closed(byte)
        return found + 1

    def _count_step(self) -> None:
        """Each costs a microsecond or more, in which nobody else is served."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise MalformedBody(
                f"the request body has more than {_MOST_STEPS:,} brackets and top-level commas"
            )

    def _next_stop(self, data: bytes, at: int, *, top: bool) -> int:
        """Where the next byte of structure stands; the length of `data` if there is none."""
        if not top:
            run = _DEEP_RUN.match(data, at)
            return len(data) if run is None else run.end()
        stop = _TOP_STOP.search(data, at)
        return len(data) if stop is None else stop.start()

    def _check_gap(self, data: bytes, at: int, found: int) -> None:
        """Only a value may be something that begins with no quote or bracket."""
        if self._at in (_At.VALUE, _At.COMMA):
            return
        if _NOT_SPACE.search(data, at, found):
            raise _malformed(data[at])

    def _begin_string(self, *, top: bool) -> None:
        self._in_string = True
        if not top:
            return
        if self._at not in (_At.KEY, _At.VALUE):
            raise _malformed(_QUOTE)
        if self._at is _At.KEY or self._key == "model":
            self._kept, self._kept_size = [], 0

    def _opened(self, byte: int) -> None:
        depth = len(self._open)
        if depth >= _DEEPEST:
            raise MalformedBody(f"the request body is nested more than {_DEEPEST} deep")
        if depth == 0:
            if self._at is not _At.OBJECT or _CLOSER[byte] != ord("}"):
                raise MalformedBody(_NOT_AN_OBJECT)
            self._at = _At.KEY
        elif depth == 1 and self._at is not _At.VALUE:
            raise _malformed(byte)
        self._open.append(_CLOSER[byte])

    def _closed(self, byte: int) -> None:
        if not self._open or self._open.pop() != byte:
            raise _malformed(byte)
        if len(self._open) == 1:
            self._at = _At.COMMA
        elif not self._open:
            if self._at is _At.COLON:
                raise _malformed(byte)
            self._at = _At.END

    def _separated(self, byte: int) -> None:
        if byte == _COLON and self._at is _At.COLON:
            self._at = _At.VALUE
        elif byte == _COMMA and self._at in (_At.VALUE, _At.COMMA):
            self._at = _At.KEY
        else:
            raise _malformed(byte)


def _malformed(byte: int) -> MalformedBody:
    return MalformedBody(f"the request body is not valid JSON: {chr(byte)!r} stands out of place")


def _unquoted(inner: bytes) -> str:
    try:
        return str(json.loads(b'"' + inner + b'"'))
    except ValueError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
