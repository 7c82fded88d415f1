"""How each API says that it failed: as an answer, and inside an event stream."""

from __future__ import annotations

import orjson

from llamactl.core import errors
from llamactl.core.errors import LlamactlError

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def _is_anthropic(path: str) -> bool:
    return path.startswith("/v1/messages")


def error_body(path: str, error: LlamactlError, *, private: bool) -> dict[str, object]:
    """The JSON of an error answer. `private`: paths and log lines may be told."""
    body = errors.error_body(error, private=private)
    if not _is_anthropic(path):
        return body
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    said = {"type": kind, "message": error.message, **body}
    del said["error"]
    return {"type": "error", "error": said}


def error_event(path: str, error: LlamactlError) -> bytes:
    """The last event of a stream that broke. A blank line first ends what was cut in half.

    OpenAI's clients raise on `error` in a chunk's data and, for responses, on an event of that
    type; Anthropic's on `event: error`
    (https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events).
    """
    if _is_anthropic(path):
        event: dict[str, object] = {
            "type": "error",
            "error": {"type": "api_error", "message": error.message},
        }
        return b"\n\nevent: error\ndata: %b\n\n" % orjson.dumps(event)
    if path.startswith("/v1/responses"):
        event = {"type": "error", "code": error.code, "message": error.message, "param": None}
        return b"\n\nevent: error\ndata: %b\n\n" % orjson.dumps(event)
    event = {"error": {"message": error.message, "type": "server_error", "code": error.code}}
    return b"\n\ndata: %b\n\n" % orjson.dumps(event)
