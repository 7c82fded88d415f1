"""Ollama's requests in OpenAI's form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field

from llamactl.core.errors import InvalidRequest

# Ollama's options by the name that llama-server gives them in a request.
_OPTIONS: Mapping[str, str] = {
    "num_predict": "max_tokens", "repeat_last_n": "repeat_last_n",
    "repeat_penalty": "repeat_penalty",
} | {
    name: name
    for name in ("temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "stop",
                 "presence_penalty", "frequency_penalty", "mirostat", "mirostat_tau",
                 "mirostat_eta")
}  # fmt: skip
_ANY = {"type": "object"}
# https://github.com/ggml-org/llama.cpp/blob/master/grammars/json.gbnf
_OBJECT = r"""
root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""
# https://pkg.go.dev/time#ParseDuration
_AT_ONCE = re.compile(r"[+-]?0[0.hmsun]*\Z")
_MAGIC = ((b"\xff\xd8", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))


class ToolCall(BaseModel):
    function: dict[str, Any] = Field(description="name, and arguments as an object")


class Message(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str = ""
    images: list[str] | None = Field(None, description="base64")
    tool_calls: list[ToolCall] | None = None
    tool_name: str = ""


class Asked(BaseModel):
    model: str
    stream: bool = True
    options: dict[str, Any] | None = None
    keep_alive: str | float | None = None
    format: str | dict[str, Any] | None = Field(None, description='"json", or a JSON schema')
    think: bool | str | None = None


class ChatAsked(Asked):
    messages: list[Message] = []
    tools: list[dict[str, Any]] | None = None


class GenerateAsked(Asked):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    images: list[str] | None = None
    raw: bool = False


class EmbedAsked(BaseModel):
    model: str
    input: str | list[str] | None = None
    prompt: str = ""
    truncate: bool | None = None
    dimensions: int | None = None
    keep_alive: str | float | None = None


def unloads(keep_alive: str | float | None) -> bool:
    """Does a request ask that the model go at once?"""
    return keep_alive is not None and bool(_AT_ONCE.match(str(keep_alive).strip().lower()))


def chat_body(asked: ChatAsked) -> dict[str, Any]:
    body = {"messages": _messages(asked.messages), **_params(asked)}
    if asked.tools:
        body["tools"] = asked.tools
    return body


def generate_body(asked: GenerateAsked) -> tuple[str, dict[str, Any]]:
    """The path, and what it is asked."""
    if asked.suffix:
        infill = {"input_prefix": asked.prompt, "input_suffix": asked.suffix}
        params = _params(asked)
        params["n_predict"] = params.pop("max_tokens", -1)
        _constrain_text(params)
        return "/infill", {"stream": True, **infill, **params}
    if asked.raw:
        params = {"prompt": asked.prompt, **_params(asked)}
        _constrain_text(params)
        return "/v1/completions", {"stream": True, **params}
    said = [Message(role="system", content=asked.system)] if asked.system else []
    user = Message(role="user", content=asked.prompt, images=asked.images)
    messages = _messages([*said, user])
    return "/v1/chat/completions", {
        "stream": True, "messages": messages, **_params(asked),
    }  # fmt: skip


def _params(asked: Asked) -> dict[str, Any]:
    params: dict[str, Any] = {
        _OPTIONS[name]: value for name, value in (asked.options or {}).items() if name in _OPTIONS
    }
    most = params.get("max_tokens")
    if isinstance(most, int | float) and most < 0:  # until it is done
        del params["max_tokens"]
    if (schema := _schema(asked.format)) is not None:
        named = {"name": "answer", "schema": schema}
        params["response_format"] = {"type": "json_schema", "json_schema": named}
    if isinstance(asked.think, bool):
        params["chat_template_kwargs"] = {"enable_thinking": asked.think}
    elif asked.think:
        params["reasoning_effort"] = asked.think
    params["stream_options"] = {"include_usage": True}
    return params


def _schema(asked: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """Engines don't all constrain a `json_object` without one. Raises InvalidRequest."""
    if asked == "json":
        return dict(_ANY)
    if isinstance(asked, str) and asked:
        raise InvalidRequest(f'invalid format: {asked[:80]!r}; expected "json" or a JSON schema')
    return asked or None


def _constrain_text(params: dict[str, Any]) -> None:
    """On the paths that know no `response_format`.

    A grammar holds on every build; on those with llguidance, a `json_schema` doesn't here.
    """
    if (form := params.pop("response_format", None)) is not None:
        schema = form["json_schema"]["schema"]
        params |= {"grammar": _OBJECT} if schema == _ANY else {"json_schema": schema}


def _messages(given: Sequence[Message]) -> list[dict[str, Any]]:
    """Calls of tools get ids, in which OpenAI's form ties results to them."""
    numbers, open_calls = count(), list[str]()
    said = []
    for message in given:
        row: dict[str, Any] = {"role": message.role, "content": _content(message)}
        if message.thinking:
            row["reasoning_content"] = message.thinking
        if message.tool_calls:
            open_calls = [f"call_{next(numbers)}" for _ in message.tool_calls]
            row["tool_calls"] = [
                {"id": call_id, "type": "function", "function": _called(call)}
                for call_id, call in zip(open_calls, message.tool_calls, strict=True)
            ]
        if message.role == "tool":
            row["tool_call_id"] = open_calls.pop(0) if open_calls else f"call_{next(numbers)}"
            if message.tool_name:
                row["name"] = message.tool_name
        said.append(row)
    return said


def _called(call: ToolCall) -> dict[str, Any]:
    arguments = call.function.get("arguments") or {}
    return {"name": call.function.get("name", ""), "arguments": orjson.dumps(arguments).decode()}


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.content
    shown = [{"type": "image_url", "image_url": {"url": _data_url(i)}} for i in message.images]
    return [{"type": "text", "text": message.content}, *shown]


def _data_url(image: str) -> str:
    import base64
    import binascii

    try:
        first = base64.b64decode(image[:16])
    except (ValueError, binascii.Error):
        first = b""
    kind = next((kind for magic, kind in _MAGIC if first.startswith(magic)), "png")
    return f"data:image/{kind};base64,{image}"
