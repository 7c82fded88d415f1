"""The paths of vLLM's API.

https://github.com/vllm-project/vllm/tree/main/vllm/entrypoints; its key guards only those below
`/v1`, `/v2`, `/inference` and `/cohere`:
https://docs.vllm.ai/en/latest/usage/security.html#api-key-authentication-limitations
"""

from __future__ import annotations

from llamactl.backends.contract import Api

_POSTS = frozenset(
    {
        "/classify", "/cohere/v2/chat", "/detokenize", "/generative_scoring", "/pooling",
        "/rerank", "/score", "/tokenize", "/v1/audio/transcriptions", "/v1/audio/translations",
        "/v1/chat/completions",
        "/v1/chat/completions/batch", "/v1/completions", "/v1/embeddings", "/v1/messages",
        "/v1/messages/count_tokens", "/v1/rerank", "/v1/responses", "/v1/score",
        "/v1/systemone", "/v2/embed", "/v2/rerank",
    }
)  # fmt: skip

API = Api(
    inference=frozenset(("POST", path) for path in _POSTS),
    guarded=frozenset(
        {"docs", "health", "load", "metrics", "models", "openapi.json", "ping", "redoc",
         "tokenizer_info", "version"}
    ),
    by_model=frozenset(path for path in _POSTS if not path.startswith("/v1/")),
    prefix="vllm",
    # Inference by another name, which its key does not guard and no model routes; and what changes
    # or stops it under the feet of everybody else: sleep, pause, weights, adapters, profiles, calls
    # of its workers' functions. Most of it is there only in its development mode.
    closed=frozenset(
        {"abort_requests", "collective_rpc", "fault_tolerance", "finish_weight_update",
         "get_world_size", "inference", "init_weight_transfer_engine",
         "invocations", "is_paused", "is_scaling_elastic_ep", "is_sleeping", "kv_event_sources",
         "load_lora_adapter", "pause", "release_kv_cache_memory", "reset_encoder_cache",
         "reset_mm_cache", "reset_prefix_cache", "resume", "scale_elastic_ep", "server_info",
         "shutdown_weight_transfer_engine", "sleep", "start_draft_weight_update", "start_profile",
         "start_weight_update", "stop_profile", "unload_lora_adapter",
         "update_weight_version", "update_weights", "wake_up", "weight_checker", "weight_info"}
    ),
)  # fmt: skip
