"""Where the secrets of a text are: of a URL, a header, a command line, a member of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder

from llamactl.core.secrets.names import (
    HEADER_FLAGS,
    MASK,
    NO_PASSWORDS,
    PLAIN_HEADERS,
    QUERY,
    VARIABLE_FLAGS,
    bare_flag,
    hides_next,
    is_secret_flag,
    names_secret,
)


@dataclass(frozen=True, slots=True)
class Span:
    start: int
    end: int
    name: str
    mask: str = MASK


_VALUE = r"""("[^"]*"|'[^']*'|[^\s"']\S*)"""
_JSON_MEMBER = re.compile(r'"((?:[^"\\]|\\.){1,200})"\s*:\s*')
_QUOTED_MEMBER = re.compile(r"'([\w.-]{1,200})'\s*:\s*'([^']*)'")
_USER = re.compile(r"(?<=://)([^\s/?#]*)@")
_WORD = re.compile(r"\S+")
_LOOSE_USER = re.compile(r"[^:/?#]*:(?!\d{1,5}(?:[/?#]|\Z))")
_PARAMETER = re.compile(r"""[?&;#]([^\s?&;#="']{1,200})=([^\s&;#"']+)""")
_FLAG_VALUE = re.compile(rf"(?<![\w-])(--?[A-Za-z][\w.-]*)(=|\s+){_VALUE}")
_ASSIGNMENT = re.compile(rf"(?<![\w.$-])([A-Za-z_][\w.-]*)={_VALUE}")
_WHOLE_ASSIGNMENT = re.compile(r"((?:--?)?[A-Za-z_][\w.-]*)=(.+)\Z", re.DOTALL)
_LINE_HEADER = re.compile(r"^[ \t]*([A-Za-z][\w-]*)[ \t]*:[ \t]*(?=\S)([^\n]+)", re.MULTILINE)
_QUOTED_HEADER = re.compile(r"""["']\s*([A-Za-z][\w-]*)\s*:\s*(?=[^\s"'])([^"'\n]+)""")
_SCHEME = re.compile(r"(?i)(?:Bearer|Basic|Token|Digest|Negotiate|ApiKey)\s+(?=\S)")
_BEARER = re.compile(r"""(?i)\b(?:Bearer|Basic(?=\s+[A-Za-z0-9+/=]{12}))\s+([^\s"',;]+)""")
_DECODER = JSONDecoder()


def spans_of(text: str, flag: str = "") -> Iterator[Span]:
    """In order, those that overlap as one. `flag`: the word before it on a command line."""
    found: Span | None = None
    for span in sorted(_all_spans(text, flag), key=lambda span: (span.start, -span.end)):
        if found is None or span.start >= found.end:
            if found is not None:
                yield found
            found = span
        elif span.end > found.end:
            found = Span(found.start, span.end, found.name)
    if found is not None:
        yield found


def _all_spans(text: str, flag: str) -> Iterator[Span]:
    if len(text) < 3:  # noqa: PLR2004 - shorter than any name with a value
        return
    if flag:
        yield from _after_flag(text, bare_flag(flag))
    if "=" in text:
        yield from _pairs(text)
    if ":" in text:
        yield from _members(text)
        yield from _users(text)
        yield from _headers(text)
    if "-" in text:
        yield from _flags(text)
    for found in _BEARER.finditer(text):
        yield Span(*found.span(1), "authorization")


def _after_flag(text: str, flag: str) -> Iterator[Span]:
    name, sign, _ = text.partition("=" if flag in VARIABLE_FLAGS else ":")
    if not sign or flag not in VARIABLE_FLAGS | HEADER_FLAGS:
        return
    if flag in HEADER_FLAGS and name.strip().lower() in PLAIN_HEADERS:
        return
    start = _value_at(text, len(name) + 1)
    if start < len(text):
        yield Span(start, len(text), name.strip().lower() if flag in HEADER_FLAGS else name)


def _value_at(text: str, at: int) -> int:
    """Where a header's value begins, after the scheme that says what it is."""
    while at < len(text) and text[at].isspace():
        at += 1
    scheme = _SCHEME.match(text, at)
    return scheme.end() if scheme else at


def _pairs(text: str) -> Iterator[Span]:
    whole = _WHOLE_ASSIGNMENT.match(text)
    if whole and _names_flag_or_variable(whole[1]):
        yield Span(*whole.span(2), bare_flag(whole[1]))
    for found in _ASSIGNMENT.finditer(text):
        if names_secret(found[1]):
            yield Span(*_unquoted(text, *found.span(2)), bare_flag(found[1]))
    for found in _PARAMETER.finditer(text):
        if names_secret(found[1]) or found[1].lower() in QUERY:
            yield Span(*found.span(2), found[1].lower())


def _names_flag_or_variable(name: str) -> bool:
    return is_secret_flag(name) if name.startswith("-") else names_secret(name)


def _unquoted(text: str, start: int, end: int) -> tuple[int, int]:
    quoted = end - start > 1 and text[start] in "\"'" and text[end - 1] == text[start]
    return (start + 1, end - 1) if quoted else (start, end)


def _members(text: str) -> Iterator[Span]:
    """Of JSON, or what looks like it."""
    done = 0
    for found in _JSON_MEMBER.finditer(text):
        if found.start() < done or not names_secret(found[1]):
            continue
        try:
            value, done = _DECODER.raw_decode(text, found.end())
        except (JSONDecodeError, RecursionError):  # cut off, say
            value, done = "?", len(text)
        if value not in (None, True, False, "") and done > found.end():
            yield Span(found.end(), done, found[1].lower(), f'"{MASK}"')
    for found in _QUOTED_MEMBER.finditer(text):
        if names_secret(found[1]) and found[2]:
            yield Span(*found.span(2), found[1].lower())


def _users(text: str) -> Iterator[Span]:
    if "@" not in text:
        return
    for found in _USER.finditer(text):
        yield from _user(found[1], found.start(1))
    for word in _WORD.finditer(text):
        *heads, _ = word[0].split("@")
        at = word.start()
        for head in heads:  # a password may hold slashes, though it should not
            start = head.rfind("://") + 3
            if start >= 3 and _LOOSE_USER.match(head, start):  # noqa: PLR2004
                yield from _user(head[start:], at + start)
            at += len(head) + 1


def _user(text: str, start: int) -> Iterator[Span]:
    name, _, password = text.partition(":")
    if password not in NO_PASSWORDS:
        yield Span(start + len(name) + 1, start + len(text), "password")
    elif name:  # a token, by itself
        yield Span(start, start + len(name), "user")


def _headers(text: str) -> Iterator[Span]:
    for pattern in (_LINE_HEADER, _QUOTED_HEADER):
        for found in pattern.finditer(text):
            if names_secret(found[1]):
                start = _value_at(text, found.start(2))
                yield Span(start, found.end(2), found[1].lower())


def _flags(text: str) -> Iterator[Span]:
    for found in _FLAG_VALUE.finditer(text):
        if is_secret_flag(found[1]) and (found[2] == "=" or hides_next(found[1], found[3])):
            yield Span(*_unquoted(text, *found.span(3)), bare_flag(found[1]))
