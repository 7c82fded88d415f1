"""An engine's own error: its message, type and status stay, the envelope is its client's.

llama-server writes `{"error": {"code", "message", "type"}}`, whatever API was called; others
`{"error": "message"}`, `{"object": "error", "message", …}` or `{"detail": …}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from llamactl.proxy.http.error_formats import ApiError

Advise = Callable[[str], str]  # what to do about a message; "" where nothing is known
_TELLING = 4096  # bytes of a message that advice goes by
_OURS = ("message", "code", "type", "param")
_ENVELOPE = ("error", "object", "detail", "request_id")


def engine_error(body: bytes, status: int, advise: Advise) -> ApiError | None:
    """None if it is not an error as engines write them."""
    try:
        whole = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(whole, dict):
        return None
    inner = whole.get("error", whole)
    fields = inner if isinstance(inner, dict) else {**whole, "message": inner}
    message = fields.get("message", fields.get("detail"))
    if not isinstance(message, str):
        message = _first_of(message)
    if not message:
        return None
    kind = fields.get("type")
    more = {k: v for k, v in fields.items() if k not in _OURS and k not in _ENVELOPE}
    if advice := advise(message[:_TELLING]):
        more["advice"] = advice
    return ApiError(
        status,
        message,
        fields.get("code", status),
        kind if isinstance(kind, str) else "",
        fields.get("param"),
        more,
    )


def _first_of(detail: object) -> str:
    """FastAPI lists what is not valid: https://fastapi.tiangolo.com/tutorial/handling-errors/"""
    first = detail[0] if isinstance(detail, list) and detail else detail
    said = first.get("msg") if isinstance(first, Mapping) else None
    return said if isinstance(said, str) else ""
