"""From an answer to the error that the server meant."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from llamactl.core.errors import LlamactlError


class ServerUnreachable(LlamactlError):
    code = "server_unreachable"
    status = 0


class InvalidAnswer(LlamactlError):
    """What answered is no llamactl, or one of another time."""

    code = "invalid_answer"
    status = 0


def error_of(status: int, retry_after: str | None, body: bytes) -> LlamactlError:
    """One of `llamactl.core.errors` where the code is known, else a plain LlamactlError."""
    try:
        said = orjson.loads(body)
        message = said["error"]
        if not isinstance(message, str):  # an engine's own words, in OpenAI's form
            message = message["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said, message = {}, f"the server answered {status}: {body[:200].decode('utf-8', 'replace')}"
    code = str(said.get("code", ""))
    error = _BY_CODE.get(code, LlamactlError)(message, details=said.get("details"))
    error.code, error.status = code or error.code, status
    error.retry_after = float(retry_after) if retry_after and retry_after.isdigit() else None
    return error


def _all(of: type[LlamactlError]) -> Iterator[type[LlamactlError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from _all(kind)


_BY_CODE = {kind.code: kind for kind in _all(LlamactlError) if "code" in vars(kind)}
