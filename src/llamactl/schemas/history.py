"""What instances served, over time."""

from __future__ import annotations

from pydantic import BaseModel, Field


class HistoryBody(BaseModel):
    """Numbers of equal steps, oldest first; the lists are equally long."""

    step_s: int = Field(description="seconds of a step")
    start: int = Field(description="Unix seconds at which the first step begins")
    until: float = Field(description="Unix seconds of these numbers; the last step is not over yet")
    retention_days: float = Field(description="`instances.history_retention`; 0 if nothing is kept")
    requests: list[int] = Field(description="responses of engines")
    failed: list[int] = Field(
        description="of them, those with a status of 500 or above, or that broke off"
    )
    refused: list[int] = Field(description="requests that llamactl refused with its own error")
    prompt_tokens: list[int] = Field(description="tokens of prompts")
    cached_tokens: list[int] = Field(description="of them, those that the engine had cached")
    generated_tokens: list[int] = Field(description="generated tokens")
    queue_s: list[float | None] = Field(
        description="mean seconds that requests waited for their instance; null if none did"
    )
    first_token_s: list[float | None] = Field(
        description="mean seconds to the first content of a response; null without one"
    )
