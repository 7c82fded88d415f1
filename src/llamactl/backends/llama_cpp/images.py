"""Is a container's image llama.cpp's? By its name, which is all that is known of it."""

from __future__ import annotations

import re

_SURELY = re.compile(r"(?<!o)llama[._-]?(?:cpp|server)", re.IGNORECASE)
# Engines, and what people run beside one.
_OTHERS = re.compile(
    r"(?<![a-z])(?:ollama|vllm|sglang|aphrodite|lmdeploy|exllama|tabby|kobold|ktransformers"
    r"|tensorrt|tritonserver|text-generation|text-embeddings|lm-?studio|local-?ai|gpt4all"
    r"|mistral\.?rs|xinference|litellm|llama-?(?:swap|file|stack|index|factory)|nvcr\.io/nim/"
    r"|open-?webui|anything-?llm|librechat|lobe-?chat|sillytavern|whisper|comfyui"
    r"|(?:mlx|tgi|tei|infinity|dify|n8n|nginx|caddy|traefik|haproxy|redis|postgres|searxng|qdrant"
    r"|python|node)(?![a-z]))",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"(?<!o)llama", re.IGNORECASE)


def is_llama_cpp(image: str) -> bool:
    if _SURELY.search(image):
        return True
    return not is_another(image) and _MAYBE.search(image) is not None


def is_another(image: str) -> bool:
    """A private image may have any name: it is neither."""
    return not _SURELY.search(image) and _OTHERS.search(image) is not None
