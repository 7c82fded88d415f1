"""Asks one model after the other with each Python client, and tells what each client's error says.

`ask.py URL CASES`: cases are a JSON object of name to `[model, key, stream]`. Prints JSON:
by client and case the class, the message and the code of the exception.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import litellm
import openai
from langchain_openai import ChatOpenAI

HI: list[Any] = [{"role": "user", "content": "hi"}]
litellm.suppress_debug_info = True


def by_openai(url: str, model: str, key: str, stream: bool) -> Iterable[object]:
    client: Any = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    answer = client.chat.completions.create(model=model, messages=HI, stream=stream)
    return answer if stream else [answer]


def by_langchain(url: str, model: str, key: str, stream: bool) -> Iterable[object]:
    chat: Any = ChatOpenAI(base_url=url, model=model, api_key=key, max_retries=0)
    return chat.stream("hi") if stream else [chat.invoke("hi")]


def by_litellm(url: str, model: str, key: str, stream: bool) -> Iterable[object]:
    answer = litellm.completion(
        model=f"openai/{model}", api_base=url, api_key=key, messages=HI, stream=stream,
        max_retries=0, num_retries=0,
    )  # fmt: skip
    return answer if stream else [answer]


def fault_of(ask: Callable[[], Iterable[object]]) -> dict[str, object]:
    try:
        for _ in ask():
            pass
    except Exception as exc:
        return {"class": type(exc).__name__, "message": str(exc), "code": code_of(exc)}
    return {"class": "", "message": "no exception", "code": None}


def code_of(exc: BaseException | None) -> object:
    """LiteLLM keeps it in the exception that it makes its own of."""
    if exc is None:
        return None
    body = getattr(exc, "body", None)
    own = getattr(exc, "code", None) or (body.get("code") if isinstance(body, dict) else None)
    return own or code_of(exc.__cause__ or exc.__context__)


CLIENTS = {"openai": by_openai, "langchain": by_langchain, "litellm": by_litellm}


def main(url: str, cases: dict[str, tuple[str, str, bool]]) -> None:
    told = {
        client: {name: fault_of(lambda: ask(url, *case)) for name, case in cases.items()}  # noqa: B023
        for client, ask in CLIENTS.items()
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
