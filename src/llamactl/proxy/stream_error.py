"""How each API says inside an event stream that it failed."""

from __future__ import annotations

import orjson

from llamactl.core.errors import LlamactlError


def error_event(path: str, error: LlamactlError) -> bytes:
    """The last event of a stream that broke. A blank line first ends what was cut in half.

    OpenAI's clients raise on `error` in a chunk's data and, for responses, on an event of that
    type; Anthropic's on `event: error`
    (https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events).
    """
    if path.startswith("/v1/messages"):
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
