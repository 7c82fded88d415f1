"""llama-server's options: their names, to argv and back.

Names and behaviour follow llama-server's documentation:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue, Scalar
from llamactl.core.secrets.masking import masked

ALIASES: Mapping[str, str] = {
    "a": "alias",
    "b": "batch_size",
    "c": "ctx_size",
    "cb": "cont_batching",
    "cram": "cache_ram",
    "ctk": "cache_type_k",
    "ctv": "cache_type_v",
    "ag": "agent",
    "bs": "backend_sampling",
    "cmoe": "cpu_moe",
    "dev": "device",
    "dio": "direct_io",
    "embeddings": "embedding",
    "fa": "flash_attn",
    "hf": "hf_repo",
    "hff": "hf_file",
    "hfr": "hf_repo",
    "hft": "hf_token",
    "kvo": "kv_offload",
    "kvu": "kv_unified",
    "lv": "verbosity",
    "log_verbosity": "verbosity",
    "m": "model",
    "md": "model_draft",
    "mg": "main_gpu",
    "mm": "mmproj",
    "mu": "model_url",
    "n": "predict",
    "n_predict": "predict",
    "n_gpu_layers": "gpu_layers",
    "ngl": "gpu_layers",
    "np": "parallel",
    "ot": "override_tensor",
    "rerank": "reranking",
    "s": "seed",
    "sm": "split_mode",
    "sps": "slot_prompt_similarity",
    "t": "threads",
    "tb": "threads_batch",
    "temperature": "temp",
    "to": "timeout",
    "ts": "tensor_split",
    "ub": "ubatch_size",
}

# Short flags that turn a switch off and do not begin with no-.
_OFF: Mapping[str, str] = {
    "ndio": "direct_io", "nkvo": "kv_offload", "nocb": "cont_batching", "nr": "repack",
}  # fmt: skip
# Switches without a --no- form: leaving them out is what false means.
_SWITCH_ONLY = frozenset(
    {
        "backend_sampling", "cache_list", "check_tensors", "completion_bash", "cpu_moe",
        "cpu_moe_draft", "embd_gemma_default", "embedding", "fim_qwen_14b_spec",
        "fim_qwen_1_5b_default", "fim_qwen_30b_default",
        "fim_qwen_3b_default", "fim_qwen_7b_default", "fim_qwen_7b_spec", "gpt_oss_120b_default",
        "gpt_oss_20b_default", "help", "ignore_eos", "list_devices", "log_disable",
        "lora_init_without_apply", "metrics", "mlock", "no_host", "offline", "props",
        "reranking", "reuse_port", "spec_default", "spec_draft_cpu_moe", "special",
        "spm_infill", "swa_full", "verbose", "version", "vision_gemma_12b_default",
        "vision_gemma_4b_default",
    }
)  # fmt: skip
_ON_OFF = frozenset({"fit", "flash_attn", "log_colors", "reasoning"})
_JOINED = frozenset(
    {"alias", "device", "fit_target", "lora", "override_kv", "override_tensor", "tags",
     "tensor_split"}
)  # fmt: skip
_OURS = frozenset({"host", "api_key", "api_key_file", "ssl_key_file", "ssl_cert_file"})
# Files and folders of this machine, as its help has them.
PATHS = frozenset(
    {
        "chat_template_file", "control_vector", "control_vector_scaled", "grammar_file",
        "json_schema_file", "log_file", "log_prompts_dir", "lookup_cache_dynamic",
        "lookup_cache_static", "lora", "lora_scaled", "mcp_servers_config", "media_path", "mmproj",
        "model", "model_draft", "model_vocoder", "models_dir", "models_preset", "path",
        "slot_save_path", "spec_draft_model", "ui_config_file",
    }
)  # fmt: skip
SOURCES = ("model", "model_url", "hf_repo", "docker_repo")  # without one it routes to many models
_NAMED = re.compile(r"(-a|--alias)(=|\Z)|LLAMA_ARG_ALIAS\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_NEGATIVE = re.compile(r"-\.?\d")


def canonical(options: Mapping[str, OptionValue | None]) -> dict[str, OptionValue | None]:
    """Give every option its one name. Raises InvalidOption."""
    result: dict[str, OptionValue | None] = {}
    for given, value in options.items():
        key = given.lstrip("-").replace("-", "_")
        key = ALIASES.get(key, key)
        if isinstance(value, bool) and key in _OFF:
            key, value = _OFF[key], not value  # noqa: PLW2901
        elif isinstance(value, bool) and key.startswith("no_") and key not in _SWITCH_ONLY:
            key, value = key.removeprefix("no_"), not value  # noqa: PLW2901
            key = ALIASES.get(key, key)
        _check_name(given, key)
        if key in result:
            raise InvalidOption(f"engine option {key!r} is given twice")
        result[key] = value
    return result


def _check_name(given: str, key: str) -> None:
    if key in _OURS:
        raise InvalidOption(f"engine option {given!r} is set by llamactl and can't be changed")
    if not _NAME.match(key):
        raise InvalidOption(
            f"{given!r} is not a valid engine option name: use letters, digits, '-' or '_'"
        )


def render(options: Mapping[str, OptionValue]) -> list[str]:
    """Options to argv. Raises InvalidOption where a value could become a flag."""
    argv: list[str] = []
    for key, value in options.items():
        if key == "extra_args":
            argv += _extra_args(value)
        else:
            argv += _flag(key, value)
    return argv


def name_flags(name: str, options: Mapping[str, OptionValue], words: Sequence[str]) -> list[str]:
    """Makes the engine call itself so in its answers; none where people named it already.

    `words`: arguments and names of environment variables that they gave besides.
    """
    extra = options.get("extra_args", ())
    given = [*words, *(map(str, extra) if isinstance(extra, Sequence) else ())]
    named = "alias" in options or any(map(_NAMED.match, given))
    return [] if named or not any(map(options.get, SOURCES)) else ["--alias", name]


def parse(argv: Sequence[str]) -> dict[str, OptionValue]:
    """Read back what `render` wrote; numbers become numbers again."""
    options: dict[str, OptionValue] = {}
    words = list(argv)
    while words:
        key = words.pop(0).lstrip("-").replace("-", "_")
        values: list[Scalar] = []
        while words and not _is_flag(words[0]):
            values.append(_scalar(words.pop(0)))
        if values:
            _merge(options, ALIASES.get(key, key), values[0])
        elif key.startswith("no_") and key not in _SWITCH_ONLY:
            options[key.removeprefix("no_")] = False
        else:
            options[key] = True
    return options


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not _NEGATIVE.match(word)


def _merge(options: dict[str, OptionValue], key: str, value: Scalar) -> None:
    if key in _JOINED and isinstance(value, str) and "," in value:
        options[key] = [_scalar(part) for part in value.split(",")]
    elif key in options:
        before = options[key]
        options[key] = [*before, value] if isinstance(before, list) else [before, value]  # type: ignore[list-item]
    else:
        options[key] = value


def _scalar(word: str) -> Scalar:
    for kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            continue
        if str(number) == word:
            return number
    return word


def _text(key: str, value: Scalar) -> str:
    text = str(value)
    if "\0" in text:
        raise InvalidOption(f"engine option {key!r} contains a NUL character")
    if isinstance(value, str) and _is_flag(text):
        raise InvalidOption(
            f"the value {masked({key: text})[key]!r} of engine option {key!r} looks like a flag; "
            "use extra_args for other flags"
        )
    return text


def _flag(key: str, value: OptionValue) -> list[str]:
    flag = "--" + key.replace("_", "-")
    match value:
        case bool() if key in _ON_OFF:
            return [flag, "on" if value else "off"]
        case True:
            return [flag]
        case False:
            return [] if key in _SWITCH_ONLY else ["--no-" + flag.removeprefix("--")]
        case str() | int() | float():
            return [flag, _text(key, value)]
        case _ if key in _JOINED:
            return [flag, ",".join(_text(key, item) for item in value)] if value else []
        case _:
            return [word for item in value for word in (flag, _text(key, item))]


def _extra_args(value: OptionValue) -> list[str]:
    if isinstance(value, str | int | float) or not all(isinstance(v, str) for v in value):
        raise InvalidOption("extra_args must be a list of strings")
    words = [str(word) for word in value]
    for word in words:
        name = word.partition("=")[0].lstrip("-").replace("-", "_")
        if word.startswith("-") and (name in _OURS or name == "port"):
            flag = word.partition("=")[0]
            raise InvalidOption(f"extra_args may not contain {flag!r}: llamactl sets it")
        if "\0" in word:
            raise InvalidOption("extra_args contains a NUL character")
    return words
