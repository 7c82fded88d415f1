"""The variables by which llama-server takes flags, as its help lists them.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping

_PREFIX, _NO = "LLAMA_ARG_", "LLAMA_ARG_NO_"
# Their variables are called like them.
_NAMED = """
    alias api-key-file api-prefix backend-sampling cache-idle-slots cache-prompt cache-ram
    cache-reuse cache-type-k cache-type-v chat-template chat-template-file
    chat-template-kwargs context-shift cont-batching cors-credentials cors-headers
    cors-methods cors-origins ctx-checkpoints ctx-size docker-repo draft-max draft-min
    embeddings fit fit-ctx flash-attn hf-file hf-repo image-max-tokens image-min-tokens jinja
    kv-offload kv-unified load-mode log-verbosity main-gpu mcp-servers-config mcp-servers-json
    mlock mmap mmproj mmproj-auto mmproj-offload mmproj-url model models-autoload models-dir
    models-max models-preset model-url mtmd-batch-max-tokens numa n-gpu-layers
    n-gpu-layers-draft n-predict no-host offline override-tensor perf pooling prefill-assistant
    reasoning repack reranking reuse-port rope-freq-base rope-freq-scale rope-scale
    skip-chat-parsing spec-draft-backend-sampling spec-draft-model spec-draft-n-max
    spec-draft-n-min spec-draft-p-min spec-draft-p-split spec-type split-mode
    sse-ping-interval ssl-cert-file ssl-key-file swa-full tags tensor-split threads
    threads-http timeout top-k ui ui-config ui-config-file ui-mcp-proxy yarn-attn-factor
    yarn-beta-fast yarn-beta-slow yarn-ext-factor yarn-orig-ctx
""".split()  # noqa: SIM905  a list of words
_OTHERS: Mapping[str, str] = {
    "HF_TOKEN": "hf-token",
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
VARIABLES: Mapping[str, str] = {
    **{_PREFIX + flag.upper().replace("-", "_"): flag for flag in _NAMED},
    **_OTHERS,
}


def negated(variable: str) -> str:
    """The flag that it turns off, whatever its value; "" for any other variable."""
    own = _PREFIX + variable.removeprefix(_NO)
    return VARIABLES.get(own, "") if variable.startswith(_NO) else ""
