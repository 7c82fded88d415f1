"""Paths of OpenAI's API, and of Anthropic's, that inference servers have in common."""

from __future__ import annotations

OPENAI_POSTS = frozenset(
    {
        "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations",
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/images/edits",
        "/v1/images/generations", "/v1/images/variations", "/v1/messages",
        "/v1/messages/count_tokens", "/v1/rerank", "/v1/reranking", "/v1/responses",
    }
)  # fmt: skip
