"""The request log."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.core.ports.request_log import Sender


class RequestBody(BaseModel):
    """A request, never its content."""

    number: int = Field(description="in the log; 0: it still runs")
    id: str = Field(description="its `X-Request-Id`; clients may give several the same")
    at: float = Field(description="when it arrived; Unix seconds")
    sender: Sender = Field(
        description="an inference key, a management key, a signed-in browser, or without a key"
    )
    key_id: str = Field(description="ID of the inference key")
    key: str = Field(description="name of the inference key")
    instance: str = Field(description="instance or replica; empty if it reached none")
    method: str = Field(description="HTTP method")
    path: str = Field(description="path, without its query")
    model: str = Field(description="model as asked for")
    stage: str = Field(description="what it waits for: reading, waiting, asking, answering; over")
    status: int | None = Field(description="HTTP status; 499 if the client left")
    code: str = Field(description="code of llamactl's own error")
    reason: str = Field(description="message of that error")
    queue_s: float = Field(description="seconds that it waited for its instance")
    first_token_s: float | None = Field(description="seconds to the first content")
    duration_s: float = Field(description="seconds until its end, or until now")
    prompt_tokens: int = Field(description="tokens of the prompt, as the engine counts them")
    cached_tokens: int = Field(description="of those, the engine had them already")
    generated_tokens: int = Field(description="tokens of the answer")
    received: int = Field(description="bytes of its body")
    sent: int = Field(description="bytes of the answer's body")
    complete: bool = Field(description="false if the answer broke off")


class RequestLogBody(BaseModel):
    """The requests that run, and the last ones that have ended."""

    running: list[RequestBody] = Field(description="the oldest first")
    ended: list[RequestBody] = Field(description="in the order in which they ended")
    newest: int = Field(description="number of the newest; give it as `after` to get later ones")


class CancelledBody(BaseModel):
    """Requests that were cancelled."""

    cancelled: int = Field(description="number of requests that were ended")
