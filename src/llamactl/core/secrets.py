"""What is secret, how it is shown, and how a mask that comes back finds what it stands for.

A secret is known by the name of its field, flag, header, variable or query parameter, or by its
place in a URL. One walk finds all secrets of a value; to mask, to collect and to restore are that
walk with different things done to what it finds. Over-masking costs little, since a mask is taken
back; a secret that is missed is out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json import JSONDecodeError, JSONDecoder
from typing import Any

from llamactl.core.errors import InvalidRequest

MASK = "********"
Label = tuple[str, ...]  # where a secret was found, without places in lists

# The words of a name that make it a secret's, whatever else it says.
_ALWAYS = frozenset(
    {"secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase", "passcode",
     "credential", "credentials", "creds", "authorization", "bearer", "cookie", "cookies", "jwt",
     "apikeys", "passkey"}
)  # fmt: skip
_ENDINGS = ("token", "apikey", "accesskey", "secretkey", "privatekey", "privkey", "authkey",
            "password", "passwd", "secret")  # fmt: skip
# "key", "token" and "pass" have other meanings too, which the words beside them tell.
_PLAIN_BEFORE = {
    "key": frozenset(
        {"attention", "cache", "dict", "foreign", "group", "hot", "index", "map", "partition",
         "primary", "public", "routing", "sort", "unique"}
    ),
    "pass": frozenset(
        {"band", "first", "high", "low", "multi", "n", "num", "one", "second", "single", "two"}
    ),
    "token": frozenset(
        {"audio", "bos", "cls", "completion", "draft", "each", "end", "eom", "eos", "eot", "fim",
         "first", "image", "input", "last", "mask", "max", "middle", "min", "n", "new", "next",
         "num", "output", "pad", "per", "prefix", "prompt", "reasoning", "sep", "single",
         "special", "start", "stop", "suffix", "think", "thinking", "total", "unk", "video"}
    ),
}  # fmt: skip
_PLAIN_AFTER = frozenset(
    {"bias", "budget", "count", "dim", "embd", "embedding", "embeddings", "frame", "frames",
     "healing", "id", "ids", "index", "len", "length", "limit", "name", "position", "probs",
     "rate", "size", "through", "type", "types"}
)  # fmt: skip
# Of many, only these are secrets: `api_keys`, but not `max_tokens` or `stop_keys`.
_PLURALS = frozenset({"keys", "tokens"})
_SECRET_BEFORE_PLURAL = frozenset(
    {"access", "admin", "api", "auth", "bearer", "client", "hf", "inference", "management",
     "master", "private", "refresh", "secret", "service", "session", "signing"}
)  # fmt: skip
_PATHS = frozenset({"dir", "file", "folder", "path"})  # say where it is, not what
_SWITCHES = frozenset({"allow", "disable", "enable", "print", "require", "return", "show", "skip"})
_SHORT_FLAGS = frozenset({"auth", "hft"})  # without dashes
_HEADER_FLAGS = frozenset({"h", "header"})
_VARIABLE_FLAGS = frozenset({"e", "env"})
_QUERY = frozenset({"auth", "pass", "sas", "sig", "signature", "x-amz-signature",
                    "x-amz-credential", "x-goog-signature", "x-goog-credential"})  # fmt: skip
_NO_PASSWORDS = frozenset({"", "x", "x-oauth-basic"})  # beside a token in the user's place
_ENVIRONMENTS = frozenset({"environment", "env"})  # may hold anything
_HEADERS = frozenset({"headers", "response_headers"})
# Any other header may say who somebody is.
_PLAIN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "alt-svc",
     "cache-control", "connection", "content-disposition", "content-encoding",
     "content-language", "content-length", "content-security-policy", "content-type", "date",
     "etag", "expires", "host", "keep-alive", "last-modified", "link", "location", "origin",
     "permissions-policy", "pragma", "referrer-policy", "retry-after", "server",
     "server-timing", "strict-transport-security", "transfer-encoding", "upgrade", "user-agent",
     "vary", "via", "x-accel-buffering", "x-content-type-options", "x-frame-options",
     "x-powered-by", "x-request-id", "x-robots-tag"}
)  # fmt: skip
_SCHEMAS = frozenset({"properties", "$defs", "definitions"})  # of JSON schema: names, no values

_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LONG_FLAG = re.compile(r"--[a-z][a-z0-9]*(-[a-z0-9]+)*(=.*)?\Z|-[a-z]{1,4}\Z", re.DOTALL)


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Does a name, in whatever style it is written, say that its value is a secret?"""
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words or words[-1] in _PATHS:
        return False
    return any(_is_telling(words, at) for at in range(len(words)))


def _is_telling(words: Sequence[str], at: int) -> bool:
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in _ALWAYS:
        return True
    if word in _PLURALS:
        return before in _SECRET_BEFORE_PLURAL
    if word in _PLAIN_BEFORE:
        return before not in _PLAIN_BEFORE[word] and after not in _PLAIN_AFTER
    return word.endswith(_ENDINGS)


def masked(value: Any) -> Any:
    """The same, with a mask for each secret."""
    return _walk(value, (), lambda _, __, mask: mask)


def masked_text(text: str) -> str:
    """Of a message or a command line."""
    shown: str = masked(text)
    return shown


def unmasked(shown: Any, stored: Any) -> Any:
    """The same, with what is stored for each mask that came back.

    Raises InvalidRequest for a mask that stands for nothing, or for one of several things.
    """
    known, given = _collected(stored), _collected(shown)
    seen, masks = Counter[Label](), Counter[Label]()

    def put_back(label: Label, text: Any, mask: str) -> Any:
        at, nth = seen[label], masks[label]
        seen[label] += 1
        if text != mask:
            return text
        masks[label] += 1
        found = known.get(label, [])
        if len(found) == len(given[label]):
            return found[at]
        if len(set(found)) == 1:
            return found[0]
        if len(found) == sum(one == mask for one in given[label]):
            return found[nth]
        where = " ".join(word for word in label if word)
        if not found:
            raise InvalidRequest(
                f"{MASK} stands for a value of {where} that was never given; write the value"
            )
        raise InvalidRequest(
            f"{MASK} could stand for each of several values of {where}; write the value"
        )

    return _walk(shown, (), put_back)


def secrets_of(value: Any, shortest: int = 4) -> frozenset[str]:
    """Those texts that are secret by their own names, to look for them elsewhere."""
    return frozenset(
        text
        for label, found in _collected(value).items()
        for text in map(str, found)
        if len(text) >= shortest and text != MASK and _is_named(label)
    )


def scrubbed(text: str, secrets: frozenset[str]) -> str:
    """Without these secrets, wherever they stand, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return masked_text(text)


def _is_named(label: Label) -> bool:
    """Variables and headers are masked for caution; few of them are secrets."""
    telling = _QUERY | _SHORT_FLAGS | {"user"}
    return any(names_secret(word) or word in telling for word in label)


def _collected(value: Any) -> dict[Label, list[Any]]:
    found: dict[Label, list[Any]] = defaultdict(list)

    def keep(label: Label, text: Any, _: str) -> Any:
        found[label].append(text)
        return text

    _walk(value, (), keep)
    return found


# The walk.

_Visit = Callable[[Label, Any, str], Any]  # its label, the secret, its mask; what to put there


def _walk(value: Any, label: Label, visit: _Visit, *, secret: bool = False) -> Any:
    match value:
        case Mapping():
            return {
                key: _walk(
                    item, (*label, str(key)), visit, secret=secret or _holds_secret(label, str(key))
                )
                for key, item in value.items()
            }
        case bool() | None | "":
            return value
        case str() | int() | float() if secret:
            return visit(label, value, MASK)
        case str():
            return _in_text(value, label, visit)
        case list() | tuple():
            return _in_list(value, label, visit, secret=secret)
        case _:
            return value


def _holds_secret(label: Label, name: str) -> bool:
    parent = label[-1] if label else ""
    if parent in _SCHEMAS:
        return False
    if parent in _ENVIRONMENTS:
        return True
    if parent in _HEADERS:
        return name.lower() not in _PLAIN_HEADERS
    return names_secret(name)


def _in_list(value: Sequence[Any], label: Label, visit: _Visit, *, secret: bool) -> list[Any]:
    """A flag tells what the word after it is."""
    found, flag = [], ""
    for item in value:
        is_text = isinstance(item, str)
        hides = _hides_next(flag, str(item))
        found.append(
            _in_text(item, label, visit, flag=flag)
            if is_text and not (hides or secret)
            else _walk(
                item, (*label, _bare(flag)) if hides else label, visit, secret=secret or hides
            )
        )
        flag = item if is_text and item.startswith("-") and "=" not in item else ""
    return found


def _bare(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-").lower()


def _is_secret_flag(flag: str) -> bool:
    name = flag.lstrip("-")
    if name in _SHORT_FLAGS:
        return True
    words = _NAME_WORDS.findall(name)
    return names_secret(name) and words[0].lower() not in _SWITCHES


def _hides_next(flag: str, word: str) -> bool:
    return bool(flag) and _is_secret_flag(flag) and not _LONG_FLAG.match(word)


# Texts.


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    name: str
    mask: str = MASK


_VALUE = r"""("[^"]*"|'[^']*'|[^\s"']\S*)"""
_JSON_MEMBER = re.compile(r'"((?:[^"\\]|\\.){1,200})"\s*:\s*')
_QUOTED_MEMBER = re.compile(r"'([\w.-]{1,200})'\s*:\s*'([^']*)'")
_USER = re.compile(r"(?<=://)([^\s/?#]*)@")
_LOOSE_USER = re.compile(r"(?<=://)([^\s:/?#@]*:(?!\d{1,5}(?:[/?#\s]|\Z))[^\s@]*)@")
_PARAMETER = re.compile(r"""[?&;#]([^\s?&;#="']{1,200})=([^\s&;#"']+)""")
_FLAG_VALUE = re.compile(rf"(?<![\w-])(--?[A-Za-z][\w.-]*)(=|\s+){_VALUE}")
_ASSIGNMENT = re.compile(rf"(?<![\w.$-])([A-Za-z_][\w.-]*)={_VALUE}")
_WHOLE_ASSIGNMENT = re.compile(r"((?:--?)?[A-Za-z_][\w.-]*)=(.+)\Z", re.DOTALL)
_LINE_HEADER = re.compile(r"^[ \t]*([A-Za-z][\w-]*)[ \t]*:[ \t]*(?=\S)([^\n]+)", re.MULTILINE)
_QUOTED_HEADER = re.compile(r"""["']\s*([A-Za-z][\w-]*)\s*:\s*(?=[^\s"'])([^"'\n]+)""")
_SCHEME = re.compile(r"(?i)(?:Bearer|Basic|Token|Digest|Negotiate|ApiKey)\s+(?=\S)")
_BEARER = re.compile(r"""(?i)\b(?:Bearer|Basic(?=\s+[A-Za-z0-9+/=]{12}))\s+([^\s"',;]+)""")
_DECODER = JSONDecoder()


def _in_text(text: str, label: Label, visit: _Visit, *, flag: str = "") -> str:
    """`flag`: the word before it on a command line."""
    parts, done = [], 0
    for span in _merged(_spans(text, flag)):
        secret = text[span.start : span.end]
        parts += [text[done : span.start], str(visit((*label, span.name), secret, span.mask))]
        done = span.end
    return "".join([*parts, text[done:]]) if done else text


def _merged(spans: Iterator[_Span]) -> Iterator[_Span]:
    """In order, those that overlap as one."""
    found: _Span | None = None
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if found is None or span.start >= found.end:
            if found is not None:
                yield found
            found = span
        elif span.end > found.end:
            found = _Span(found.start, span.end, found.name)
    if found is not None:
        yield found


def _spans(text: str, flag: str) -> Iterator[_Span]:
    if len(text) < 3:  # noqa: PLR2004 - shorter than any name with a value
        return
    if flag:
        yield from _after_flag(text, _bare(flag))
    if "=" in text:
        yield from _pairs(text)
    if ":" in text:
        yield from _members(text)
        yield from _users(text)
        yield from _headers(text)
    if "-" in text:
        yield from _flags(text)
    for found in _BEARER.finditer(text):
        yield _Span(*found.span(1), "authorization")


def _after_flag(text: str, flag: str) -> Iterator[_Span]:
    name, sign, _ = text.partition("=" if flag in _VARIABLE_FLAGS else ":")
    if not sign or flag not in _VARIABLE_FLAGS | _HEADER_FLAGS:
        return
    if flag in _HEADER_FLAGS and name.strip().lower() in _PLAIN_HEADERS:
        return
    start = _value_at(text, len(name) + 1)
    if start < len(text):
        yield _Span(start, len(text), name.strip().lower() if flag in _HEADER_FLAGS else name)


def _value_at(text: str, at: int) -> int:
    """Where a header's value begins, after the scheme that says what it is."""
    while at < len(text) and text[at].isspace():
        at += 1
    scheme = _SCHEME.match(text, at)
    return scheme.end() if scheme else at


def _pairs(text: str) -> Iterator[_Span]:
    whole = _WHOLE_ASSIGNMENT.match(text)
    if whole and _names_flag_or_variable(whole[1]):
        yield _Span(*whole.span(2), _bare(whole[1]))
    for found in _ASSIGNMENT.finditer(text):
        if names_secret(found[1]):
            yield _Span(*_unquoted(text, *found.span(2)), _bare(found[1]))
    for found in _PARAMETER.finditer(text):
        if names_secret(found[1]) or found[1].lower() in _QUERY:
            yield _Span(*found.span(2), found[1].lower())


def _names_flag_or_variable(name: str) -> bool:
    return _is_secret_flag(name) if name.startswith("-") else names_secret(name)


def _unquoted(text: str, start: int, end: int) -> tuple[int, int]:
    quoted = end - start > 1 and text[start] in "\"'" and text[end - 1] == text[start]
    return (start + 1, end - 1) if quoted else (start, end)


def _members(text: str) -> Iterator[_Span]:
    """Of JSON, or what looks like it."""
    for found in _JSON_MEMBER.finditer(text):
        if not names_secret(found[1]):
            continue
        try:
            value, end = _DECODER.raw_decode(text, found.end())
        except (JSONDecodeError, RecursionError):  # cut off, say
            value, end = text[found.end() :], len(text)
        if value not in (None, True, False, "") and end > found.end():
            yield _Span(found.end(), end, found[1].lower(), f'"{MASK}"')
    for found in _QUOTED_MEMBER.finditer(text):
        if names_secret(found[1]) and found[2]:
            yield _Span(*found.span(2), found[1].lower())


def _users(text: str) -> Iterator[_Span]:
    for pattern in (_USER, _LOOSE_USER):
        for found in pattern.finditer(text):
            name, _, password = found[1].partition(":")
            if password not in _NO_PASSWORDS:
                yield _Span(found.start(1) + len(name) + 1, found.end(1), "password")
            elif name:  # a token, by itself
                yield _Span(found.start(1), found.start(1) + len(name), "user")


def _headers(text: str) -> Iterator[_Span]:
    for pattern in (_LINE_HEADER, _QUOTED_HEADER):
        for found in pattern.finditer(text):
            if names_secret(found[1]):
                start = _value_at(text, found.start(2))
                yield _Span(start, found.end(2), found[1].lower())


def _flags(text: str) -> Iterator[_Span]:
    for found in _FLAG_VALUE.finditer(text):
        if _is_secret_flag(found[1]) and (found[2] == "=" or not _LONG_FLAG.match(found[3])):
            yield _Span(*_unquoted(text, *found.span(3)), _bare(found[1]))
