"""A prompt that is asked again, and how much of it the engine had."""

from __future__ import annotations

from support.served import Served

PROMPT = "one two three four " * 12


def ask(server: Served, name: str = "one", prompt: str = PROMPT) -> tuple[str, int, int]:
    """What it answers, tokens of the prompt, and how many of them it had."""
    body = {"model": name, "prompt": prompt, "max_tokens": 4, "temperature": 0, "seed": 1}
    answer = server.request("POST", "/v1/completions", body)
    assert answer.status_code == 200, answer.text
    said, usage = answer.json(), answer.json()["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return said["choices"][0]["text"], usage["prompt_tokens"], cached
