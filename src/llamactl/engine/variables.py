"""Variables of llama-server's that set a flag and are not called like it, as its help has them.

The others are `LLAMA_ARG_`, and the flag in capitals.
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "LLAMA_ARG_"
OTHERS: Mapping[str, str] = {
    "HF_TOKEN": "hf-token",
    "LLAMA_CHAT_TEMPLATE_KWARGS": "chat-template-kwargs",
    "LLAMA_ARG_BATCH": "batch-size",
    "LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT": "checkpoint-min-step",
    "LLAMA_ARG_DIO": "direct-io",
    "LLAMA_ARG_ENDPOINT_METRICS": "metrics",
    "LLAMA_ARG_ENDPOINT_PROPS": "props",
    "LLAMA_ARG_ENDPOINT_SLOTS": "slots",
    "LLAMA_ARG_N_PARALLEL": "parallel",
    "LLAMA_ARG_ROPE_SCALING_TYPE": "rope-scaling",
    "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_K": "spec-draft-type-k",
    "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_V": "spec-draft-type-v",
    "LLAMA_ARG_SPEC_DRAFT_HF_REPO": "spec-draft-hf",
    "LLAMA_ARG_STATIC_PATH": "path",
    "LLAMA_ARG_THINK": "reasoning-format",
    "LLAMA_ARG_THINK_BUDGET": "reasoning-budget",
    "LLAMA_ARG_THINK_BUDGET_MESSAGE": "reasoning-budget-message",
    "LLAMA_ARG_UBATCH": "ubatch-size",
}
