"""What to do about what vLLM answers, each with the source that writes it."""

from __future__ import annotations

import re

from llamactl.backends.contract import ErrorAdvice

_TREE = "https://github.com/vllm-project/vllm/blob/main/vllm/"


def _known(pattern: str, advice: str, source: str) -> ErrorAdvice:
    return ErrorAdvice(re.compile(pattern, re.IGNORECASE), advice, _TREE + source)


ADVICE = (
    _known(
        r"maximum context length is|cannot be greater than max_model_len",
        "send less, ask for fewer tokens, or raise the instance's max_model_len",
        "renderers/params.py",
    ),
    _known(
        r"EngineCore encountered an issue",
        "retry: the engine died and is started again; see the instance's log",
        "v1/engine/exceptions.py",
    ),
    _known(
        r"tool choice requires --enable-auto-tool-choice",
        "set the instance's options enable_auto_tool_choice: true and tool_call_parser",
        "entrypoints/openai/chat_completion/serving.py",
    ),
    _known(
        r"does not support (Chat Completions|Completions|Embeddings) API",
        "use a model of that kind, or set the instance's options runner and convert",
        "entrypoints/openai/chat_completion/api_router.py",
    ),
)
