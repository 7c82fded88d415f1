"""Which model does a request's body name? Pure; works on bytes."""

from __future__ import annotations

import re
from typing import Final

import orjson

from llamactl.core.errors import MalformedBody, ModelNotNamed
from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import Member, ObjectScanner

SMALL: Final = 1 << 16  # bytes; parsed at once, which takes less than a millisecond
# bytes for each bracket; parsing a body with more of them takes several times as long
_ROOM: Final = 64
_LETTER: Final = re.compile(rb"\\u00[46][0-9a-fA-F]")  # one that needed no escape
MODEL_TWICE: Final = '"model" appears more than once in the request; send it once'
_MODEL: Final = Names(["model"])


def model_of_json(body: bytes) -> str:
    """The top-level `model` of a JSON object. Raises MalformedBody or ModelNotNamed.

    A small body is parsed, a larger one scanned: parsing 64 MB of brackets takes seconds.
    """
    size = len(body)
    if size > SMALL or (size > SMALL >> 2 and _is_dense(body)):
        return _scanned(body)
    value = parsed_object(body)
    # a second one can't hide but in escapes; `find`, as `in` takes bytes for a number first
    if body.count(b'"model"') > 1 or (body.find(b"\\u00") >= 0 and _LETTER.search(body)):
        return _scanned(body)
    model = value.get("model")
    return model if isinstance(model, str) and model else checked_model(model)


def _is_dense(body: bytes) -> bool:
    return body.count(b"{") + body.count(b"[") > len(body) // _ROOM


def parsed_object(body: bytes) -> dict[str, object]:
    """Of a small body. Raises MalformedBody."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise MalformedBody("the request body must be a JSON object")
    return value


def checked_model(model: object) -> str:
    if model is None or model == "":
        raise ModelNotNamed('the request names no model: set "model" to an instance\'s name')
    if not isinstance(model, str):
        raise MalformedBody('"model" must be a string')
    return model


class ModelScanner:
    """Finds the top-level `model` in JSON that comes in pieces, and keeps none of them."""

    def __init__(self) -> None:
        self.model: str | None = None
        self._scanner = ObjectScanner(_MODEL)

    def feed(self, data: bytes) -> None:
        """Read on. Raises MalformedBody or ModelNotNamed."""
        self._scanner.feed(data)
        members = self._scanner.members
        if len(members) > 1:
            raise MalformedBody(MODEL_TWICE)
        if members and self.model is None:
            self.model = _model_of(members[0])

    def end(self) -> str:
        """The body is complete: return its model. Raises MalformedBody or ModelNotNamed."""
        self._scanner.close()
        return checked_model(self.model)


def _scanned(body: bytes) -> str:
    scanner = ModelScanner()
    scanner.feed(body)
    return scanner.end()


def _model_of(member: Member) -> str:
    if member.raw is None:
        raise MalformedBody('"model" must be a string of at most 65,536 bytes')
    try:
        return checked_model(orjson.loads(member.raw))
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc
