"""OpenAI's answers in Ollama's form: lines of JSON, the last with what it took."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

Form = Literal["chat", "generate"]
_S, _MS = 1_000_000_000, 1_000_000  # nanoseconds, in which Ollama counts
_REASONS = {"length": "length", "tool_calls": "stop", "stop": "stop"}


def moment() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Answer:
    """What comes of one request."""

    model: str
    form: Form
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    reason: str = "stop"
    usage: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, Any] = field(default_factory=dict)
    calls: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)

    async def rows(
        self, chunks: AsyncGenerator[dict[str, Any], None]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Each piece, then what it took."""
        async for chunk in chunks:
            self.first = self.first or time.monotonic()
            text, thought = self._take(chunk)
            if text or thought:
                self.content.append(text)
                self.thinking.append(thought)
                yield self._row(text, thought)
        if self.calls:
            yield self._row("", "", self._called())
        yield self.last()

    def _take(self, chunk: Mapping[str, Any]) -> tuple[str, str]:
        self.usage = chunk.get("usage") or self.usage
        self.timings = chunk.get("timings") or self.timings
        if "content" in chunk:  # as /infill has it
            return str(chunk["content"] or ""), ""
        for choice in chunk.get("choices") or ():
            if reason := choice.get("finish_reason"):
                self.reason = _REASONS.get(reason, "stop")
            delta = choice.get("delta") or {"content": choice.get("text")}
            for call in delta.get("tool_calls") or ():
                known = self.calls.setdefault(call.get("index", 0), {"name": [], "arguments": []})
                for key, part in (call.get("function") or {}).items():
                    if key in known and part:
                        known[key].append(part)
            return delta.get("content") or "", delta.get("reasoning_content") or ""
        return "", ""

    def _called(self) -> list[dict[str, Any]]:
        return [
            {
                "function": {
                    "name": "".join(call["name"]),
                    "arguments": _arguments("".join(call["arguments"])),
                }
            }
            for _, call in sorted(self.calls.items())
        ]

    def _row(
        self, text: str, thought: str, calls: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        head = {"model": self.model, "created_at": moment()}
        more = {"thinking": thought} if thought else {}
        if self.form == "generate":
            return {**head, "response": text, **more, "done": False}
        message: dict[str, Any] = {"role": "assistant", "content": text, **more}
        if calls:
            message["tool_calls"] = calls
        return {**head, "message": message, "done": False}

    def last(self) -> dict[str, Any]:
        now = time.monotonic()
        first = self.first or now
        prompt = self.timings.get("prompt_ms")
        spoken = self.timings.get("predicted_ms")
        return {
            **self._row("", ""), "done": True, "done_reason": self.reason,
            "total_duration": int((now - self.began) * _S),
            "load_duration": 0,
            "prompt_eval_count": self._count("prompt_n", "prompt_tokens"),
            "prompt_eval_duration": int(
                prompt * _MS if prompt is not None else (first - self.began) * _S
            ),
            "eval_count": self._count("predicted_n", "completion_tokens"),
            "eval_duration": int(spoken * _MS if spoken is not None else (now - first) * _S),
        }  # fmt: skip

    def _count(self, timing: str, usage: str) -> int:
        return int(self.usage.get(usage) or self.timings.get(timing) or 0)

    def whole(self) -> dict[str, Any]:
        """In one piece, once all has come."""
        row = self._row("".join(self.content), "".join(self.thinking), self._called() or None)
        return {**self.last(), **row, "done": True}


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def done(model: str, form: Form, reason: str) -> dict[str, Any]:
    """The answer to a request that asks nothing, but that the model be there, or not."""
    body: dict[str, Any] = {"response": ""}
    if form == "chat":
        body = {"message": {"role": "assistant", "content": ""}}
    return {"model": model, "created_at": moment(), **body, "done": True, "done_reason": reason}
