"""The paths of llama-server's API.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from llamactl.backends.contract import Api
from llamactl.backends.shared.openai import OPENAI_POSTS

# What the server answers without showing other users' prompts, as `/slots` would, or changing
# what they get, as `POST /props` and `/lora-adapters` would.
_POSTS = OPENAI_POSTS | {
    "/apply-template", "/chat/completions", "/completion", "/completions", "/detokenize",
    "/embedding", "/embeddings", "/infill", "/rerank", "/reranking", "/tokenize",
    "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens",
}  # fmt: skip

API = Api(
    inference=frozenset({("GET", "/props"), *(("POST", path) for path in _POSTS)}),
    guarded=frozenset(
        {"api", "cors-proxy", "health", "lora-adapters", "metrics", "models", "props", "slots",
         "tools"}
    ),
    by_model=frozenset(
        {"/props", "/slots", *(path for path in _POSTS if not path.startswith("/v1/"))}
    ),
    prefix="llama-cpp",
)  # fmt: skip
