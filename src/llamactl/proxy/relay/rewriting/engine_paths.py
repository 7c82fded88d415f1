"""What an engine says about itself, for clients that may not see file paths.

llama-server names its model's file, and of its adapters each:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

Bytes are spliced, in parts of work: an engine may tell much, and parsing that takes long.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import orjson

from llamactl.core.errors import BackendError
from llamactl.policy.body.json_strings import Strings, outside

LARGEST_LIST = 4 << 20  # bytes; of what routers tell of hundreds of models
_LONGEST = 1 << 15  # bytes of a path: Linux has 4096 at most, each of which JSON may escape
_DEEPEST = 1024  # levels, as parsers have it
_BLOCK = 1 << 15  # bytes looked at in one go at the speed of C
_STEP = 1 << 11  # bytes of which each string and bracket is looked at
_TOKEN = re.compile(rb'"[^"]*+"|[":{}\[\]]')
_PAIRS = {b"}": b"{", b"]": b"["}
_JSON = b" \t\r\n{}[]:,+-.0123456789abcdefghijklmnopqrstuvwxyzEIN"
Span = tuple[int, int]  # of a string, with its quotes


def without_paths(name: str, body: bytes) -> Generator[None, None, bytes]:
    """The name replaces the path, anywhere.

    A path is what the value of a key says that ends in "path". Raises BackendError for what can't
    be read.
    """
    clean = yield from _clean(body)
    paths, new = set[str](), orjson.dumps(name)
    for found in _values(body, clean):
        if found is None:
            yield
        elif found[1]:
            paths.add(_text(body, found[0]))
    paths.discard("")
    if not paths:
        return body
    plain = {b'"%b"' % path.encode("utf-8", "surrogateescape") for path in paths}
    changed, done = bytearray(), 0
    for found in _values(body, clean):
        if found is None:
            yield
            continue
        begin, end = found[0]
        raw = body[begin : min(end, begin + _LONGEST)]
        if raw in plain or (b"\\" in raw and _text(body, found[0]) in paths):
            changed += body[done:begin] + new
            done = end
    return bytes(changed + body[done:]) if done else body


def _clean(body: bytes) -> Generator[None, None, bytes]:
    """Same length, without escaped quotes. Anything but a string must look like JSON."""
    strings, blocks = Strings(), list[bytes]()
    for at in range(0, len(body), _BLOCK):
        clean = strings.clean(body[at : at + _BLOCK])
        blocks.append(clean)
        if outside(clean, in_string=strings.open).translate(None, _JSON):
            raise _unreadable()
        strings.passed(clean)
        yield
    if strings.open or not body:
        raise _unreadable()
    return b"".join(blocks)


def _values(body: bytes, clean: bytes) -> Iterator[tuple[Span, bool] | None]:
    """Each string that is a value, and whether its key holds paths; None after a part of the work.

    The strings of an array, and of those in it, are held by the array's key.
    Raises BackendError for brackets that don't match.
    """
    holder = _Holder()
    string: Span | None = None  # a key, if a colon follows
    for token in _tokens(clean):
        if token is None:
            yield None
            continue
        mark = clean[token[0] : token[0] + 1]
        if mark == b":":
            holder.is_path, string = string is not None and _is_path(body, string), None
            continue
        if string is not None:
            yield string, holder.is_path
        string = token if mark == b'"' else None
        if string is None:
            holder.bracket(mark)
    if string is not None:
        yield string, holder.is_path
    holder.close()


class _Holder:
    """Of the next value: does its key hold paths?"""

    def __init__(self) -> None:
        self.is_path = False
        self._outer = list[tuple[bytes, bool]]()  # each open bracket, and the same of its own key

    def bracket(self, mark: bytes) -> None:
        """Raises BackendError."""
        if mark not in _PAIRS:
            if len(self._outer) == _DEEPEST:
                raise _unreadable()
            self._outer.append((mark, self.is_path))
            self.is_path = self.is_path and mark == b"["
        elif self._outer and self._outer[-1][0] == _PAIRS[mark]:
            self.is_path = self._outer.pop()[1]
        else:
            raise _unreadable()

    def close(self) -> None:
        """Raises BackendError."""
        if self._outer:
            raise _unreadable()


def _tokens(clean: bytes) -> Iterator[Span | None]:
    """Strings, brackets and colons; None after each part."""
    at, size = 0, len(clean)
    while at < size:
        stop = min(at + _STEP, size)
        for token in _TOKEN.finditer(clean, at, stop):
            begin, end = token.span()
            if end - begin == 1 and clean[begin : begin + 1] == b'"':  # it continues after the part
                stop = clean.index(b'"', end) + 1
                yield begin, stop
                break
            yield begin, end
        at = stop
        yield None


def _is_path(body: bytes, key: Span) -> bool:
    return body.endswith(b'path"', *key) or _text(body, key).endswith("path")


def _text(body: bytes, span: Span) -> str:
    """What a string says; nothing where that is too long to be a path."""
    if span[1] - span[0] > _LONGEST:
        return ""
    raw = body[span[0] : span[1]]
    if b"\\" not in raw:
        return raw[1:-1].decode("utf-8", "surrogateescape")
    try:
        return str(orjson.loads(raw))
    except orjson.JSONDecodeError as exc:
        raise _unreadable() from exc


def _unreadable() -> BackendError:
    return BackendError("the engine's response is not JSON; see its log")
