"""From an answer to the error that the server meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from llamactl.core.errors import LlamactlError


class ServerUnreachable(LlamactlError):
    code = "server_unreachable"
    status = 0


class InvalidAnswer(LlamactlError):
    """The response is not from llamactl, or from another version."""

    code = "invalid_answer"
    status = 0


def error_of(status: int, retry_after: str | None, body: bytes) -> LlamactlError:
    """One of `llamactl.core.errors` where the code is known, else a plain LlamactlError."""
    try:
        error = error_in(orjson.loads(body))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        said = body[:200].decode("utf-8", "replace")
        error = LlamactlError(f"the server responded with {status}: {said}")
    error.status = status
    error.retry_after = float(retry_after) if retry_after and retry_after.isdigit() else None
    return error


def error_in(said: Mapping[str, Any]) -> LlamactlError:
    """From `{"error": …}`: a message, or an object that has it, as in events and engines' words.

    Raises KeyError, TypeError or AttributeError if it is not an error.
    """
    inner = said["error"]
    fields = {**said, "message": inner} if isinstance(inner, str) else inner
    message, advice = fields.get("message") or orjson.dumps(inner).decode(), fields.get("advice")
    code = fields.get("code")
    kind = _BY_CODE.get(code, LlamactlError) if isinstance(code, str) else LlamactlError
    text = f"{message}; {advice}" if advice else str(message)
    error = kind(text, details=fields.get("details"))
    if code is not None:
        error.code = str(code)
    return error


def _all(of: type[LlamactlError]) -> Iterator[type[LlamactlError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from _all(kind)


_BY_CODE = {kind.code: kind for kind in _all(LlamactlError) if "code" in vars(kind)}
