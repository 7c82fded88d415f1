"""Which conversation does a request continue? Pure.

A client sends all of a conversation each time, so its beginning stays the same and names it: what
has that prompt's context already can be asked first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import orjson

_BEGINNING = 4096  # bytes that name a conversation
_ROLES_BEFORE = ("system", "developer")  # what the one who wrote the program says, to everybody


def conversation_key(body: Mapping[str, object]) -> bytes:
    """16 bytes; the same for each turn of a conversation, whatever parameters its requests have.

    Of the model, what is the same for everybody (the system prompt, the tools), and the first words
    of the one who asks. b"" for a request without a prompt. It can't be reversed, but who guesses a
    beginning can check it.

    https://platform.openai.com/docs/api-reference/chat
    https://platform.openai.com/docs/api-reference/responses
    https://docs.anthropic.com/en/api/messages
    """
    own = next(_own_words(body), None)
    if own is None:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    for part in (body.get("model"), *_words_for_all(body), own):
        digest.update(_beginning(part))
        digest.update(b"\0")
    return digest.digest()


def _own_words(body: Mapping[str, object]) -> Iterator[object]:
    messages = body.get("messages", body.get("input"))
    if isinstance(messages, list):
        yield from (one for one in messages if not _is_for_all(one))
    elif messages is not None:
        yield messages
    for name in ("prompt", "input_prefix"):
        if name in body:
            yield body[name]


def _words_for_all(body: Mapping[str, object]) -> Iterator[object]:
    yield from (body.get(name) for name in ("system", "instructions", "tools"))
    messages = body.get("messages", body.get("input"))
    if isinstance(messages, list):
        for one in messages:
            if not _is_for_all(one):
                return
            yield one


def _is_for_all(message: object) -> bool:
    return isinstance(message, Mapping) and message.get("role") in _ROLES_BEFORE


def _beginning(part: object) -> bytes:
    if isinstance(part, str):
        return part[:_BEGINNING].encode("utf-8", "surrogatepass")[:_BEGINNING]
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)[:_BEGINNING]
