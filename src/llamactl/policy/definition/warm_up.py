"""The request that an instance is warmed up with: how it is given, and what is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llamactl.core.errors import InvalidRequest
from llamactl.core.filters import Filters
from llamactl.core.ports.warm_up import WarmUp
from llamactl.policy.body.filters import apply
from llamactl.policy.definition.checks import STRING, Schema, check_json, read_object, text

_MOST = 1 << 20  # bytes of JSON
_PATHS = {  # by the member that only its requests have
    "messages": "/v1/chat/completions",
    "prompt": "/v1/completions",
    "input": "/v1/embeddings",
}
WARM_UP: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {**STRING, "description": "path of the request; default: by its body"},
        "body": {
            "type": "object", "additionalProperties": True,
            "description": "body of the request; `model` and the parameters of the instance are "
            "filled in as in any request",
        },
    },
}  # fmt: skip


def read_warm_up(key: str, value: object) -> dict[str, object]:
    given = read_object(key, value)
    if not given:
        return {}
    if unknown := given.keys() - {"path", "body"}:
        raise InvalidRequest(
            f"{key!r} has no field {min(unknown)!r}; it only takes 'path' and 'body'"
        )
    body = read_object(f"{key}.body", given.get("body"))
    if not body:
        raise InvalidRequest(f"{key!r} needs a 'body', the JSON object that is sent")
    for name in body:
        text(f"{key}.body", name)
    check_json(f"{key}.body", body, _MOST)
    found: dict[str, object] = {"body": dict(body)}
    if given.get("path"):
        found["path"] = text(f"{key}.path", given["path"])
    if not warm_up_path(found):
        raise InvalidRequest(
            f"{key!r} needs a 'path': its body has none of {', '.join(_PATHS)}, which would tell it"
        )
    return found


def warm_up_path(given: Mapping[str, Any]) -> str:
    """The path of one that was read; "" if it says none."""
    told = (path for member, path in _PATHS.items() if member in given["body"])
    return str(given.get("path") or next(told, ""))


def warm_up_of(given: Mapping[str, Any], filters: Filters | None) -> WarmUp:
    """What is sent, for one that was read. Its answer comes in one piece, whatever is set."""
    body = orjson.dumps(given["body"])
    members = orjson.loads(apply(filters, body) if filters is not None else body)
    for name in ("stream", "stream_options"):
        members.pop(name, None)
    return WarmUp(warm_up_path(given), orjson.dumps(members))
