"""Which model does a request's body name? Pure; works on bytes."""

from __future__ import annotations

import orjson

from llamactl.core.errors import MalformedBody, ModelMissing


def model_of_json(body: bytes) -> str:
    """The top-level `model` of a JSON object. Raises MalformedBody or ModelMissing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise MalformedBody("the request body must be a JSON object")
    return checked_model(value.get("model"))


def checked_model(model: object) -> str:
    if model is None or model == "":
        raise ModelMissing('the request names no model: set "model" to an instance\'s name')
    if not isinstance(model, str):
        raise MalformedBody('"model" must be a string')
    return model
