"""Which names say that their value is a secret: tables, and the words around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

MASK = "********"

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
_PLACES = frozenset({"dir", "env", "file", "flag", "folder", "path"})  # say where it is, not what
_SWITCHES = frozenset({"allow", "disable", "enable", "print", "require", "return", "show", "skip"})
SHORT_FLAGS = frozenset({"auth", "hft"})  # without dashes
HEADER_FLAGS = frozenset({"h", "header"})
VARIABLE_FLAGS = frozenset({"e", "env"})
QUERY = frozenset({"auth", "pass", "sas", "sig", "signature", "x-amz-signature",
                    "x-amz-credential", "x-goog-signature", "x-goog-credential"})  # fmt: skip
NO_PASSWORDS = frozenset({"", "x", "x-oauth-basic"})  # beside a token in the user's place
ENVIRONMENTS = frozenset({"environment", "env"})  # may hold anything
HEADERS = frozenset({"headers", "response_headers"})
# Any other header may say who somebody is.
PLAIN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "alt-svc",
     "cache-control", "connection", "content-disposition", "content-encoding",
     "content-language", "content-length", "content-security-policy", "content-type", "date",
     "etag", "expires", "host", "keep-alive", "last-modified", "link", "location", "origin",
     "permissions-policy", "pragma", "referrer-policy", "retry-after", "server",
     "server-timing", "strict-transport-security", "transfer-encoding", "upgrade", "user-agent",
     "vary", "via", "x-accel-buffering", "x-content-type-options", "x-frame-options",
     "x-powered-by", "x-request-id", "x-robots-tag"}
)  # fmt: skip
SCHEMAS = frozenset({"properties", "$defs", "definitions"})  # of JSON schema: names, no values

_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LONG_FLAG = re.compile(r"--[a-z][a-z0-9]*(-[a-z0-9]+)*(=.*)?\Z|-[a-z]{1,4}\Z", re.DOTALL)


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Does a name, in whatever style it is written, say that its value is a secret?"""
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words or words[-1] in _PLACES:
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


def bare_flag(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-").lower()


def is_secret_flag(flag: str) -> bool:
    name = flag.lstrip("-")
    if name in SHORT_FLAGS:
        return True
    words = _NAME_WORDS.findall(name)
    return names_secret(name) and words[0].lower() not in _SWITCHES


def hides_next(flag: str, word: str) -> bool:
    return bool(flag) and is_secret_flag(flag) and not _LONG_FLAG.match(word)
