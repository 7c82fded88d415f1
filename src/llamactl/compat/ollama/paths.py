"""Which of Ollama's paths the data path has to know."""

from __future__ import annotations

INFERENCE = frozenset(
    {"/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"}
)  # what needs no key where inference needs none
WITH_KEY = INFERENCE | {"/", "/api/version", "/api/tags", "/api/ps", "/api/pull", "/api/delete"}
