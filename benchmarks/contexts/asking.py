"""One request, timed to its first token, and waits for what has to happen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Answer:
    asked_at: float  # Unix seconds
    first_s: float  # to the first token
    prompt: int  # tokens
    cached: int  # of these, that the engine had
    text: str


def ask(client: httpx.Client, prompt: str, model: str = "", tokens: int = 2) -> Answer:
    body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
    body |= {"model": model} if model else {}
    at, began, first, prompt_tokens, cached, text = time.time(), time.perf_counter(), 0.0, 0, 0, ""
    with client.stream("POST", "/v1/completions", json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            first = first or time.perf_counter() - began
            chunk = json.loads(line[6:])
            text += "".join(choice.get("text", "") for choice in chunk.get("choices", ()))
            if timings := chunk.get("timings"):
                cached = timings["cache_n"]
                prompt_tokens = cached + timings["prompt_n"]
    return Answer(at, first, prompt_tokens, cached, text)


def answers(client: httpx.Client, path: str = "/health") -> bool:
    try:
        return client.get(path).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing came of it")
        time.sleep(0.002)
