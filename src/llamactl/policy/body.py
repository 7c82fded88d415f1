"""Which model does a request's body name? Pure; works on bytes."""

from __future__ import annotations

import json
import re

import orjson

from llamactl.core.errors import MalformedBody, ModelMissing

_ESCAPED = re.compile(rb"\\u00[46][0-9a-fA-F]")  # a letter that needed no escape


def model_of_json(body: bytes) -> str:
    """The top-level `model` of a JSON object. Raises MalformedBody or ModelMissing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise MalformedBody("the request body must be a JSON object")
    if _named_twice(body):
        raise MalformedBody('"model" stands more than once in the request; name one')
    return checked_model(value.get("model"))


def _named_twice(body: bytes) -> bool:
    """Is there more than one top-level `model`? Parsers differ on which of them counts."""
    if body.count(b'"model"') < 2 and not _ESCAPED.search(body):  # noqa: PLR2004
        return False
    top: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        top[:] = pairs  # objects end from the inside out: the last one is the outermost

    json.loads(body, object_pairs_hook=keep)
    return sum(key == "model" for key, _ in top) > 1


def checked_model(model: object) -> str:
    if model is None or model == "":
        raise ModelMissing('the request names no model: set "model" to an instance\'s name')
    if not isinstance(model, str):
        raise MalformedBody('"model" must be a string')
    return model
