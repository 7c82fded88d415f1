"""What llama-server serves a model as: its options, and what the model's file says.

Context by slot: `server_context` and `common_fit_params` of llama.cpp's tools/server and common/;
options: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llamactl.backends.llama_cpp.options import SOURCES, parse
from llamactl.core.instance import OptionValue
from llamactl.core.model import ModelFacts, ModelInfo

Options = Mapping[str, OptionValue]

# Environment variables that say the same as an option, as its help names them.
VARIABLES: Mapping[str, str] = {
    "LLAMA_ARG_API_PREFIX": "api_prefix",
    "LLAMA_ARG_CHAT_TEMPLATE": "chat_template",
    "LLAMA_ARG_CHAT_TEMPLATE_FILE": "chat_template_file",
    "LLAMA_ARG_CTX_SIZE": "ctx_size",
    "LLAMA_ARG_DEVICE": "device",
    "LLAMA_ARG_DOCKER_REPO": "docker_repo",
    "LLAMA_ARG_EMBEDDINGS": "embedding",
    "LLAMA_ARG_HF_FILE": "hf_file",
    "LLAMA_ARG_HF_REPO": "hf_repo",
    "LLAMA_ARG_JINJA": "jinja",
    "LLAMA_ARG_KV_UNIFIED": "kv_unified",
    "LLAMA_ARG_LOG_VERBOSITY": "verbosity",
    "LLAMA_ARG_MAIN_GPU": "main_gpu",
    "LLAMA_ARG_MMPROJ": "mmproj",
    "LLAMA_ARG_MODEL": "model",
    "LLAMA_ARG_MODELS_DIR": "models_dir",
    "LLAMA_ARG_MODELS_PRESET": "models_preset",
    "LLAMA_ARG_MODEL_URL": "model_url",
    "LLAMA_ARG_N_PARALLEL": "parallel",
    "LLAMA_ARG_OVERRIDE_TENSOR": "override_tensor",
    "LLAMA_ARG_POOLING": "pooling",
    "LLAMA_ARG_REASONING": "reasoning",
    "LLAMA_ARG_RERANKING": "reranking",
    "LLAMA_ARG_SPLIT_MODE": "split_mode",
    "LLAMA_ARG_TENSOR_SPLIT": "tensor_split",
}
SEVERAL = ("models_dir", "models_preset")
_CELLS = 256  # a context's length is a multiple of it
_OFF = (False, 0, "0", "off", "false", "disabled", "none")
# In a template's tags, not in the text that it writes.
_TOOLS = re.compile(r"\{[%{][^{}]*?\btools\b")
_THINKS = re.compile(
    r"enable_thinking|reasoning_content|reasoning_effort|</?think>|<\|channel\|>analysis"
)


def given(options: Options, words: Sequence[str], environment: Mapping[str, str]) -> Options:
    """All options that an engine gets, by their names.

    `words`: its arguments from the settings. `environment`: counts least.
    """
    extra = options.get("extra_args", ())
    more = parse([str(word) for word in extra]) if isinstance(extra, Sequence) else {}
    said = {VARIABLES[k]: v for k, v in environment.items() if k in VARIABLES and v}
    return {**said, **parse(words), **options, **more}


def is_router(options: Options) -> bool:
    """Does llama-server serve several models, each under a name of its own?"""
    return any(map(options.get, (*SEVERAL, "router"))) and not any(map(options.get, SOURCES))


def info_of(
    facts: ModelFacts | None, projector: ModelFacts | None, options: Options, template: str | None
) -> ModelInfo:
    """`facts`, `projector`: None where the file can't be read. `template`: in place of its own."""
    own = template if template is not None else facts.chat_template if facts else ""
    capabilities = _capabilities(facts, projector, options, own)
    if facts is None:
        return ModelInfo(capabilities, context=context_of(0, options))
    return ModelInfo.of(facts, capabilities, context_of(facts.shape.context, options))


def context_of(trained: int, options: Options) -> int:
    """Tokens of one request. Slots of a fixed number share the context, unless it is unified."""
    whole = _number(options, "ctx_size") or trained
    slots = _number(options, "parallel")
    if slots > 1 and options.get("kv_unified", False) in _OFF:
        whole = _padded(whole) // slots
    return min(_padded(whole), trained) if trained else _padded(whole)


def _capabilities(
    facts: ModelFacts | None, projector: ModelFacts | None, options: Options, template: str
) -> tuple[str, ...]:
    embeds = options.get("embedding", False) not in _OFF
    ranks = options.get("pooling") == "rank" or ("pooling" not in options and facts and facts.ranks)
    if options.get("reranking", False) not in _OFF or (embeds and ranks):
        return ("rerank",)
    if embeds:
        return ("embedding",)
    found = ["completion", *(["insert"] if facts is not None and facts.infills else [])]
    if options.get("mmproj") or options.get("mmproj_url"):
        found += ["vision"] if projector is None or projector.sees or not projector.hears else []
        found += ["audio"] if projector is not None and projector.hears else []
    if options.get("jinja", True) not in _OFF and _TOOLS.search(template):
        found.append("tools")
    if options.get("reasoning", "auto") not in _OFF and _THINKS.search(template):
        found.append("thinking")
    return tuple(found)


def _number(options: Mapping[str, Any], name: str) -> int:
    """0 where there is none, or none that counts."""
    value = options.get(name, 0)
    try:
        return max(0, int(value[-1] if isinstance(value, list) else value))
    except (IndexError, TypeError, ValueError):
        return 0


def _padded(cells: int) -> int:
    return -(-cells // _CELLS) * _CELLS if cells else 0
