"""Takes from an engine's answer what says how much of its prompt was cached. Pure.

Bytes are spliced as they come, so an answer of any size passes in little memory. A quote within a
string is escaped: what generated text says can't look like a key. What an API promises becomes 0,
the rest goes: https://platform.openai.com/docs/api-reference/chat/object,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance,
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import json
import re
from typing import Any

from llamactl.core.errors import BackendError

_BESIDE = ("cache_read_input_tokens", "cache_creation_input_tokens")  # `input_tokens`, not in it
_ZERO = frozenset({"cached_tokens", *_BESIDE})
_GONE = frozenset(
    {
        # what was cached, by its number or by the place that was found for the prompt
        "cache_creation", "cache_n", "cached_tokens_details", "cached_tokens_per_turn", "id_slot",
        "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "prompt_progress", "tokens_cached",
        # what was not, and how long that took
        "input_tokens_per_turn", "prompt_ms", "prompt_n", "prompt_per_second",
        "prompt_per_token_ms", "prompt_time", "prompt_tokens_per_sec", "tokens_evaluated",
    }
)  # fmt: skip
_USAGE, _TOOL_INPUT = "usage", "input"
_NAMES = "|".join(sorted({*_ZERO, *_GONE, _USAGE, _TOOL_INPUT})).encode()
_KEY = re.compile(rb'"(%b)"\s{0,64}:\s{0,64}' % _NAMES)
# at the end of what came: what may become a key, with the comma before it
_BEGUN = re.compile(
    rb'(?:,\s{0,64})?\\?(?:"(?:[a-z_]{0,32}(?:"\s{0,64}(?::\s{0,64})?)?)?)?\Z', re.DOTALL
)
_LONGEST_BEGUN = 300  # bytes
_LONGEST = 1 << 16  # bytes of a value that is looked into, or of a line that is held
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb'[^,\]}\s"{\[]++')
_NEXT = re.compile(rb"\s*+,")
_SPACE = b" \t\r\n"
# How many events tell of the progress says how much of the prompt is computed.
_PROGRESS = re.compile(
    rb'^data:[^\r\n]*(?<!\\)"prompt_progress"\s*:\s*\{[^\r\n]*(?:\r?\n){1,2}', re.MULTILINE
)


class CachedCounts:
    """Of one answer, whose body comes in pieces."""

    def __init__(self, *, events: bool = False) -> None:
        """`events`: it is a stream of events, each on one line."""
        self._events = events
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be sent by now. Raises BackendError for what can't be read."""
        data, self._held = self._held + data, b""
        if self._events:
            cut = data.rfind(b"\n") + 1
            if len(data) - cut <= _LONGEST:
                data, self._held = data[:cut], data[cut:]
            if b'"prompt_progress"' in data:
                data = _PROGRESS.sub(b"", data)
        out, rest = _without(data, ended=self._events and data.endswith(b"\n"))
        self._held = rest + self._held
        return out

    def end(self) -> bytes:
        """The rest. Of a value that is cut off nothing."""
        data, self._held = self._held, b""
        return _without(data, ended=True)[0]


def without_cached_counts(message: str | bytes) -> str | bytes:
    """A message that is complete. Raises BackendError."""
    if isinstance(message, str):
        return _without(message.encode("utf-8", "surrogatepass"), ended=True)[0].decode(
            "utf-8", "surrogatepass"
        )
    return _without(message, ended=True)[0]


def _without(data: bytes, *, ended: bool) -> tuple[bytes, bytes]:
    """What may be sent, and what waits for more. Raises BackendError."""
    splicing = _Splicing(data, ended=ended)
    while (found := _KEY.search(data, splicing.at)) and splicing.take(found):
        pass
    return splicing.result()


class _Splicing:
    """Of what is there at a time."""

    def __init__(self, data: bytes, *, ended: bool) -> None:
        self.at = 0  # where to look for the next key
        self._data = data
        self._ended = ended
        self._done = 0  # of the data
        self._out = list[bytes]()
        self._waits = -1  # where it begins

    def take(self, found: re.Match[bytes]) -> bool:
        """False if more has to come first. Raises BackendError."""
        data, key, name, self.at = self._data, found.start(), found[1].decode(), found.end()
        if data[key - 1 : key] == b"\\":
            return True
        end = _value_end(data, self.at, ended=self._ended)
        if end < 0:
            return self._incomplete(key, name)
        if name in _GONE:
            return self._remove(key, end)
        if name == _TOOL_INPUT:  # what a model gives to a tool is its own
            self.at = end if data[self.at : self.at + 1] == b"{" else self.at
        elif (new := _instead(name, data[self.at : end])) is not None:
            self._splice(self.at, end, new)
        return True

    def result(self) -> tuple[bytes, bytes]:
        data, keep = self._data, len(self._data)
        if self._waits >= 0:
            keep = self._waits
        elif not self._ended:
            begun = _BEGUN.search(data, max(self._done, keep - _LONGEST_BEGUN))
            keep = begun.start() if begun else keep
        self._out.append(data[self._done : keep])
        rest = b"" if self._ended and self._waits >= 0 else data[keep:]
        return b"".join(self._out), rest

    def _incomplete(self, key: int, name: str) -> bool:
        if len(self._data) - self.at <= _LONGEST:
            self._waits = _with_comma(self._data, self._done, key)
            return False
        if name != _TOOL_INPUT:
            raise BackendError(f"the engine's {name!r} is too long to be looked into")
        return True

    def _remove(self, key: int, end: int) -> bool:
        """With one comma: the one before it, or else the one after it."""
        begin = _with_comma(self._data, self._done, key)
        if begin == key:
            if after := _NEXT.match(self._data, end):
                end = after.end()
            elif not self._ended and not self._data[end:].strip(_SPACE):
                self._waits = begin  # a comma may follow
                return False
        self._splice(begin, end, b"")
        return True

    def _splice(self, begin: int, end: int, new: bytes) -> None:
        self._out += (self._data[self._done : begin], new)
        self._done = self.at = end


def _with_comma(data: bytes, done: int, key: int) -> int:
    """Where a member begins, with the comma before it if there is one."""
    before = data[max(done, key - 65) : key]
    text = before.rstrip(_SPACE)
    return key - len(before) + len(text) - 1 if text.endswith(b",") else key


def _value_end(data: bytes, at: int, *, ended: bool) -> int:
    """Behind the value; -1 if more of it is to come."""
    first = data[at : at + 1]
    if first == b'"':
        found = _STRING.match(data, at)
        return found.end() if found else -1
    if first in (b"{", b"["):
        return _container_end(data, at)
    found = _SCALAR.match(data, at)
    if found is None:
        return at if first else -1
    return found.end() if ended or found.end() < len(data) else -1


def _container_end(data: bytes, at: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(data, at, at + _LONGEST):
        mark = token[0]
        if mark == b'"':
            return -1
        if len(mark) == 1:
            depth += 1 if mark in b"{[" else -1
            if not depth:
                return token.end()
    return -1


def _instead(name: str, value: bytes) -> bytes | None:
    """None: it stays as it is, and is looked into."""
    if name in _ZERO:
        return None if value == b"null" else b"0"
    if not value.startswith(b"{"):
        return None
    try:
        usage = json.loads(value)
    except ValueError as exc:
        raise BackendError("the engine's response is not JSON; see its log") from exc
    return json.dumps(_usage(usage), ensure_ascii=False, separators=(",", ":")).encode()


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's `input_tokens` are those that were not cached: they become all of the prompt."""
    beside = [
        usage.get(name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens")
    ]
    had = sum(count for count in beside if isinstance(count, int))
    if had and isinstance(usage.get("input_tokens"), int):
        usage["input_tokens"] += had
    return {name: _hidden(name, value) for name, value in usage.items() if name not in _GONE}


def _hidden(name: str, value: Any) -> Any:
    if name in _ZERO and value is not None:
        return 0
    if isinstance(value, dict):
        return {k: _hidden(k, v) for k, v in value.items() if k not in _GONE}
    return value
