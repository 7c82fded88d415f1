"""How each API says that it failed: as an answer, and inside an event stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from llamactl.core import errors
from llamactl.core.errors import LlamactlError, ModelNotNamed, UnknownModel
from llamactl.proxy.http.heads import Headers, RequestHead

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
# As llama-server names them: `format_error_response` in
# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-common.cpp
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_SERVER = 500  # and above: not the client's fault
_ABOUT_MODEL = (ModelNotNamed, UnknownModel)


@dataclass(frozen=True, slots=True)
class ApiError:
    """The content of an error, independent of its source and format."""

    status: int
    message: str
    code: object  # ours are words; engines have numbers too
    type: str = ""  # "": by the status
    param: object = None
    more: Mapping[str, object] = field(default_factory=dict)  # further fields

    @classmethod
    def of(cls, error: LlamactlError, *, private: bool = False) -> ApiError:
        """`private`: paths and log lines may be shown."""
        body = errors.error_body(error, private=private)
        more = {"details": body["details"]} if "details" in body else {}
        param = "model" if isinstance(error, _ABOUT_MODEL) else None
        return cls(error.status, str(body["error"]), error.code, param=param, more=more)


V1Errors = Literal["auto", "openai", "reference"]
Format = Callable[[ApiError], dict[str, object]]


def reference(error: ApiError) -> dict[str, object]:
    """`{"error": message, "code": code}`: the management API's, and that of unknown clients."""
    kind = {"type": error.type} if error.type else {}
    return {"error": error.message, "code": error.code, **kind, **error.more}


def openai(error: ApiError) -> dict[str, object]:
    """https://platform.openai.com/docs/guides/error-codes"""
    kind = error.type or _OPENAI_TYPES.get(error.status)
    kind = kind or ("server_error" if error.status >= _SERVER else "invalid_request_error")
    inner = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return {"error": {**inner, **error.more}}


def anthropic(error: ApiError) -> dict[str, object]:
    kind = error.type or _ANTHROPIC_TYPES.get(error.status, "api_error")
    inner = {"type": kind, "message": error.message, "code": error.code, **error.more}
    return {"type": "error", "error": inner}


# The last event of a stream that broke. A blank line first ends what was cut in half.


def openai_event(error: ApiError) -> bytes:
    """OpenAI's clients raise on `error` in a chunk's data."""
    return b"\n\ndata: %b\n\n" % orjson.dumps(openai(error))


def responses_event(error: ApiError) -> bytes:
    """https://platform.openai.com/docs/api-reference/responses-streaming/error"""
    event = {
        "type": "error", "code": error.code, "message": error.message, "param": error.param,
        **error.more,
    }  # fmt: skip
    return b"\n\nevent: error\ndata: %b\n\n" % orjson.dumps(event)


def anthropic_event(error: ApiError) -> bytes:
    """https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events"""
    return b"\n\nevent: error\ndata: %b\n\n" % orjson.dumps(anthropic(error))


@dataclass(frozen=True, slots=True)
class Recognised:
    """A client that reads errors only from OpenAI's object, recognised by a header."""

    client: str
    header: bytes
    begins: tuple[bytes, ...]  # a word of its value, in lower case; none: whatever it is
    source: str


_USER_AGENT = b"user-agent"
_MOST_WORDS = 1000  # bytes of it that are looked at
CLIENTS = (
    Recognised(
        # Python, Node, Go, Java, Ruby; LangChain and others are built on them
        "openai", b"x-stainless-lang", (),
        "https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py",
    ),
    Recognised(
        "openai", _USER_AGENT, (b"openai/", b"asyncopenai/"),
        "https://github.com/openai/openai-dotnet/blob/main/src/Utility/TelemetryDetails.cs",
    ),
    Recognised(
        "Vercel AI SDK", _USER_AGENT, (b"ai-sdk/", b"ai/"),
        "https://github.com/vercel/ai/blob/main/packages/provider-utils/src/post-to-api.ts",
    ),
    Recognised(
        "LiteLLM", _USER_AGENT, (b"litellm/",),
        "https://github.com/BerriAI/litellm/blob/main/litellm/llms/custom_httpx/http_handler.py",
    ),
    Recognised(
        "LangChain", _USER_AGENT, (b"langchain", b"langchainjs-openai/"),
        "https://github.com/langchain-ai/langchainjs/blob/main/libs/providers/langchain-openai/src/utils/headers.ts",
    ),
)  # fmt: skip
_LOOKED_AT = sorted({known.header for known in CLIENTS}, reverse=True)
_VARY: Headers = [(b"vary", b", ".join(name.title() for name in _LOOKED_AT))]


def is_recognised(fields: Mapping[bytes, bytes]) -> bool:
    words = fields.get(_USER_AGENT, b"")[:_MOST_WORDS].lower().split()
    return any(
        not known.begins or any(word.startswith(known.begins) for word in words)
        for known in CLIENTS
        if known.header in fields
    )


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """Of all requests with one head: what their errors look like, and which headers they have."""

    render: Format = reference
    render_event: Callable[[ApiError], bytes] = openai_event
    headers: Headers = field(default_factory=list)


DEFAULT = ErrorFormat()  # of a request whose head said nothing yet


def error_format(head: RequestHead, before_path: re.Pattern[str], setting: V1Errors) -> ErrorFormat:
    """Decided once for each head. `setting`: `server.v1_errors`.

    `before_path`: what names an instance before its engine's path.
    """
    path = before_path.sub("", head.path)
    event = _event_of(path)
    if head.path.startswith("/api/"):
        return ErrorFormat(reference, event)
    if path.startswith("/v1/messages"):
        return ErrorFormat(anthropic, event)
    if setting == "auto":
        render = openai if is_recognised(head.fields) else reference
        return ErrorFormat(render, event, _VARY)
    return ErrorFormat(openai if setting == "openai" else reference, event)


def _event_of(path: str) -> Callable[[ApiError], bytes]:
    if path.startswith("/v1/messages"):
        return anthropic_event
    return responses_event if path.startswith("/v1/responses") else openai_event
