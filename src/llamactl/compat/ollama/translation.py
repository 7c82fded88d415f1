"""Ollama's requests as engines get them, from bytes to bytes.

`python -m llamactl.compat.ollama.translation FORM` translates what comes in: see `translator.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from llamactl.compat.ollama.asking import (
    ChatAsked,
    EmbedAsked,
    GenerateAsked,
    chat_body,
    generate_body,
    unloads,
)
from llamactl.core.errors import InvalidRequest, LlamactlError

Form = Literal["chat", "generate", "embed", "embeddings"]
T = TypeVar("T", bound=BaseModel)
# What is embedded goes to the engine, and comes back, in batches.
_MOST_TEXTS, _MOST_CHARACTERS = 32, 1 << 18
_LONGEST_TEXT = 1 << 20  # characters, more than any engine embeds at once


@dataclass(frozen=True, slots=True)
class Translation:
    """What one request asks of engines.

    Of a chat and a completion the parts are pieces of the object, in JSON, that `path` is sent, but
    for its model. What is to be embedded comes in batches: each part is a list of strings in JSON.
    Without a part nothing is asked but the model.
    """

    model: str
    path: str = ""
    stream: bool = True
    unloads: bool = False  # once all is answered
    truncate: bool = True
    dimensions: int | None = None
    parts: tuple[bytes, ...] = ()

    def body(self, model: str) -> list[bytes]:
        """What `path` is sent, with the model's name here."""
        first, *others = self.parts
        return [b'{"model":%b,' % orjson.dumps(model), first[1:], *others]

    def head(self) -> bytes:
        """All but the parts, in JSON."""
        return orjson.dumps({f.name: getattr(self, f.name) for f in fields(self)[:-1]})


def translate(form: Form, body: bytes) -> Translation:
    """Raises InvalidRequest."""
    if form == "chat":
        return _chat(parsed(ChatAsked, body))
    if form == "generate":
        return _generate(parsed(GenerateAsked, body))
    asked = parsed(EmbedAsked, body)
    given = asked.prompt if form == "embeddings" else asked.input
    texts = [given] if isinstance(given, str) and given else [*(given or [])]
    truncate = asked.truncate is not False
    return Translation(
        asked.model, truncate=truncate, dimensions=asked.dimensions,
        parts=tuple(map(_json, _batches(texts, truncate=truncate))),
    )  # fmt: skip


def parsed(kind: type[T], body: bytes) -> T:
    """Whatever content type it has: Ollama's own clients send none. Raises InvalidRequest."""
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{where}: {first['msg']}") from exc


def _chat(asked: ChatAsked) -> Translation:
    if not asked.messages:
        return Translation(asked.model, unloads=unloads(asked.keep_alive))
    body = {"stream": True, **chat_body(asked)}
    return Translation(
        asked.model, "/v1/chat/completions", asked.stream, unloads(asked.keep_alive),
        parts=(_json(body),),
    )  # fmt: skip


def _generate(asked: GenerateAsked) -> Translation:
    if not asked.prompt and not asked.suffix:
        return Translation(asked.model, unloads=unloads(asked.keep_alive))
    path, body = generate_body(asked)
    return Translation(
        asked.model, path, asked.stream, unloads(asked.keep_alive), parts=(_json(body),)
    )


def _batches(texts: list[str], *, truncate: bool) -> Iterator[list[str]]:
    """Raises InvalidRequest."""
    batch, size = list[str](), 0
    for text in texts:
        if len(text) > _LONGEST_TEXT and not truncate:
            raise InvalidRequest(
                f'an input is longer than {_LONGEST_TEXT:,} characters; split it, or set "truncate"'
            )
        cut = text[:_LONGEST_TEXT]
        if batch and (len(batch) == _MOST_TEXTS or size + len(cut) > _MOST_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(cut)
        size += len(cut)
    if batch:
        yield batch


def _json(value: object) -> bytes:
    """Raises InvalidRequest for numbers that have no form there."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as exc:
        raise InvalidRequest(f"the request can't be forwarded: {exc}") from exc


def _main(form: Form) -> None:

    try:
        done = translate(form, sys.stdin.buffer.read())
        lines = [done.head(), *done.parts]
    except LlamactlError as exc:
        lines = [orjson.dumps({"error": exc.message})]
    sys.stdout.buffer.writelines(line + b"\n" for line in lines)


if __name__ == "__main__":
    _main(sys.argv[1])  # type: ignore[arg-type]  # by our own parent
