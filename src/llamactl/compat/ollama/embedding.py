"""Embeddings as Ollama has them: of inputs cut to what the engine takes, and of any length."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from llamactl.core.errors import BackendError, LlamactlError

if TYPE_CHECKING:
    from llamactl.client import AsyncClient

Input = str | list[int]
Vectors = AsyncGenerator[tuple[list[list[float]], int], None]  # of a batch, and its tokens
# How llama-server says how many tokens it takes: of its batch, or of its context, whichever it
# finds too small: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp
_TAKES = re.compile(
    r"current batch size: (\d+)|available context size \((\d+) tokens\)|max context size \((\d+)"
)
_TOGETHER = re.compile(r"context size has been exceeded", re.IGNORECASE)
_TRIES = 3  # the batch may be smaller than the context
_LONGEST_TOKEN = 256  # characters


async def embeddings(
    client: AsyncClient, name: str, batches: Iterable[bytes], *, truncate: bool,
    dimensions: int | None,
) -> Vectors:  # fmt: skip
    """Of each batch of texts, a list in JSON. Raises BackendError and others."""
    limit = 0
    for batch in batches:
        texts: Sequence[Input] = orjson.loads(batch)
        inputs = await _cut(client, name, texts, limit) if limit else texts
        said = None
        for _ in range(_TRIES if truncate else 0):
            try:
                said = await _asked(client, name, inputs)
                break
            except LlamactlError as exc:
                if not (found := _limit(exc.message)):
                    raise
                limit = found
                inputs = await _cut(client, name, inputs, limit)
        said = said or await _asked(client, name, inputs)
        usages = [answer.get("usage") or {} for answer in said]
        yield (
            [_shortened(v, dimensions) for v in _vectors(said, len(texts))],
            sum(int(usage.get("prompt_tokens") or 0) for usage in usages),
        )


async def _asked(client: AsyncClient, name: str, inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """The answers that tell of all of them, in order.

    Slots may share a context that is too small for all at once: then they are asked by halves.
    """
    try:
        return [await client.post("/v1/embeddings", {"model": name, "input": [*inputs]})]
    except LlamactlError as exc:
        if len(inputs) == 1 or not _TOGETHER.search(exc.message):
            raise
    half = len(inputs) // 2
    first = await _asked(client, name, inputs[:half])
    return [*first, *await _asked(client, name, inputs[half:])]


def _limit(message: str) -> int:
    """Tokens that an engine takes, as its refusal has it; 0 for another error."""
    found = _TAKES.search(message)
    return int(next(filter(None, found.groups()))) if found else 0


async def _cut(
    client: AsyncClient, name: str, inputs: Sequence[Input], limit: int
) -> Sequence[Input]:
    """Each to so many tokens. A byte or more makes a token, so what has fewer bytes fits."""
    long = [n for n, one in enumerate(inputs) if _may_exceed(one, limit)]
    cut = [*inputs]
    for n in long:
        one = inputs[n]
        cut[n] = one[:limit] if isinstance(one, list) else await _tokens(client, name, one, limit)
    return cut


def _may_exceed(one: Input, limit: int) -> bool:
    special = 2  # one before, one after
    return len(one if isinstance(one, list) else one.encode()) + special > limit


async def _tokens(client: AsyncClient, name: str, text: str, limit: int) -> Input:
    """The text itself where it fits. Else its first tokens, between those that mark its ends."""
    ask = {"model": name, "content": text[: limit * _LONGEST_TOKEN]}
    marked = (await client.post("/tokenize", {**ask, "add_special": True}))["tokens"]
    if len(marked) <= limit:
        return text
    plain = (await client.post("/tokenize", {**ask, "add_special": False}))["tokens"]
    before = 1 if len(marked) > len(plain) and marked[1 : len(plain) + 1] == plain else 0
    end = marked[len(plain) + before :]
    return [*marked[: max(0, limit - len(end))], *end]


def _vectors(said: Sequence[dict[str, Any]], count: int) -> list[list[float]]:
    """Raises BackendError for an answer of another kind."""
    rows = [row for answer in said for row in answer.get("data") or () if isinstance(row, dict)]
    vectors = [row.get("embedding") for row in rows]
    if len(vectors) != count or not all(isinstance(vector, list) for vector in vectors):
        raise BackendError("the engine returned no embeddings; check that it supports them")
    return [list(vector) for vector in vectors if vector is not None]


def _shortened(vector: list[float], dimensions: int | None) -> list[float]:
    """To so many numbers, and to length 1 again, as Ollama does."""
    if dimensions is None or not 0 < dimensions < len(vector):
        return vector
    first = vector[:dimensions]
    length = math.sqrt(sum(x * x for x in first))
    return [x / length for x in first] if length else first
