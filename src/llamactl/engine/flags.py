"""llama-server's flags, applied to a `CommonParams` object.

A flag is a row of NAMES where llama-server's name differs from the field's, and otherwise
the field's own name; its type and choices are read from the object. The names are those of
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xllamacpp as xl


class FlagError(Exception):
    """A flag that is unknown, lacks its value, or has one that does not fit."""


# flag without its dashes -> field of CommonParams
NAMES: Mapping[str, str] = {
    "m": "model.path", "model": "model.path",
    "mu": "model.url", "model-url": "model.url",
    "hf": "model.hf_repo", "hfr": "model.hf_repo", "hf-repo": "model.hf_repo",
    "hff": "model.hf_file", "hf-file": "model.hf_file",
    "dr": "model.docker_repo", "docker-repo": "model.docker_repo",
    "hft": "hf_token", "a": "model_alias", "alias": "model_alias", "tags": "model_tags",
    "mm": "mmproj.path", "mmproj": "mmproj.path",
    "mmu": "mmproj.url", "mmproj-url": "mmproj.url", "mmdev": "mmproj_device",
    "c": "n_ctx", "ctx-size": "n_ctx",
    "n": "n_predict", "predict": "n_predict", "n-predict": "n_predict",
    "b": "n_batch", "batch-size": "n_batch", "ub": "n_ubatch", "ubatch-size": "n_ubatch",
    "keep": "n_keep", "np": "n_parallel", "parallel": "n_parallel",
    "t": "cpuparams.n_threads", "threads": "cpuparams.n_threads",
    "tb": "cpuparams_batch.n_threads", "threads-batch": "cpuparams_batch.n_threads",
    "prio": "cpuparams.priority", "poll": "cpuparams.poll", "cpu-strict": "cpuparams.strict_cpu",
    "prio-batch": "cpuparams_batch.priority", "poll-batch": "cpuparams_batch.poll",
    "threads-http": "n_threads_http",
    "ngl": "n_gpu_layers", "gpu-layers": "n_gpu_layers", "n-gpu-layers": "n_gpu_layers",
    "sm": "split_mode", "ts": "tensor_split", "mg": "main_gpu",
    "fa": "flash_attn_type", "flash-attn": "flash_attn_type",
    "ctk": "cache_type_k", "ctv": "cache_type_v", "lm": "load_mode", "lzm": "lazy_mode",
    "kvu": "kv_unified", "cb": "cont_batching",
    "cram": "cache_ram_mib", "cache-ram": "cache_ram_mib", "cache-reuse": "n_cache_reuse",
    "ctxcp": "n_ctx_checkpoints", "ctx-checkpoints": "n_ctx_checkpoints",
    "cms": "checkpoint_min_step", "context-shift": "ctx_shift",
    "rope-scaling": "rope_scaling_type", "pooling": "pooling_type",
    "attention": "attention_type",
    "embedding": "embedding", "embeddings": "embedding",
    "ot": "tensor_buft_overrides", "override-tensor": "tensor_buft_overrides",
    "moe-cache-mib": "moe_cache_size",
    "metrics": "endpoint_metrics", "props": "endpoint_props", "slots": "endpoint_slots",
    "path": "public_path", "webui": "ui",
    "ui-config": "ui_config_json", "webui-config": "ui_config_json",
    "sps": "slot_prompt_similarity", "sp": "special", "e": "escape",
    "r": "antiprompt", "reverse-prompt": "antiprompt",
    "jinja": "use_jinja", "chat-template-kwargs": "default_template_kwargs",
    "rea": "enable_reasoning", "reasoning": "enable_reasoning",
    "skip-chat-parsing": "force_pure_content_parser",
    "lv": "verbosity", "log-verbosity": "verbosity", "log-jsonl": "log_json",
    "log-prompts-dir": "path_prompts_log_dir",
    "ssl-key-file": "ssl_file_key", "ssl-cert-file": "ssl_file_cert",
    "fit": "fit_params", "fitc": "fit_params_min_ctx", "fit-ctx": "fit_params_min_ctx",
    "s": "sampling.seed", "seed": "sampling.seed", "temperature": "sampling.temp",
    "typical": "sampling.typ_p", "typical-p": "sampling.typ_p",
    "repeat-last-n": "sampling.penalty_last_n", "repeat-penalty": "sampling.penalty_repeat",
    "presence-penalty": "sampling.penalty_present", "frequency-penalty": "sampling.penalty_freq",
    "dynatemp-exp": "sampling.dynatemp_exponent",
    "mirostat-lr": "sampling.mirostat_eta", "mirostat-ent": "sampling.mirostat_tau",
    "bs": "sampling.backend_sampling",
    "reasoning-budget": "sampling.reasoning_budget_tokens",
    "reasoning-budget-message": "sampling.reasoning_budget_message",
    "md": "speculative.draft.mparams.path", "model-draft": "speculative.draft.mparams.path",
    "spec-draft-model": "speculative.draft.mparams.path",
    "hfd": "speculative.draft.mparams.hf_repo",
    "hf-repo-draft": "speculative.draft.mparams.hf_repo",
    "ngld": "speculative.draft.n_gpu_layers", "gpu-layers-draft": "speculative.draft.n_gpu_layers",
    "draft": "speculative.draft.n_max", "draft-max": "speculative.draft.n_max",
    "spec-draft-n-max": "speculative.draft.n_max",
    "draft-min": "speculative.draft.n_min", "spec-draft-n-min": "speculative.draft.n_min",
    "draft-p-min": "speculative.draft.p_min", "spec-draft-p-min": "speculative.draft.p_min",
    "devd": "speculative.draft.devices", "device-draft": "speculative.draft.devices",
    "ctkd": "speculative.draft.cache_type_k",
    "cache-type-k-draft": "speculative.draft.cache_type_k",
    "ctvd": "speculative.draft.cache_type_v",
    "cache-type-v-draft": "speculative.draft.cache_type_v",
    "td": "speculative.draft.cpuparams.n_threads",
    "threads-draft": "speculative.draft.cpuparams.n_threads",
    "spec-type": "speculative.types",
    "lcs": "speculative.ngram_cache.lookup_cache_static",
    "lcd": "speculative.ngram_cache.lookup_cache_dynamic",
}  # fmt: skip

# Switches whose field says the opposite.
NEGATED: Mapping[str, str] = {
    "kv-offload": "no_kv_offload", "kvo": "no_kv_offload", "repack": "no_extra_bufts",
    "op-offload": "no_op_offload", "perf": "no_perf", "mmproj-auto": "no_mmproj",
    "mmproj-offload": "mmproj_use_gpu",
}  # fmt: skip
NEGATED_SHORT: Mapping[str, str] = {
    "nkvo": "no-kv-offload", "nr": "no-repack", "nocb": "no-cont-batching",
    "no-kvu": "no-kv-unified",
}  # fmt: skip
_GROUPS = ("sampling", "speculative", "speculative.draft", "diffusion")
_HIDDEN = ("hostnames", "api_keys")


def fields(params: Any) -> Iterator[tuple[str, Any]]:
    """Every field, nested ones by their dotted path, with its value."""
    yield from _walk(params, "")


def _walk(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in sorted(dir(value)):
        if name.startswith("_") or callable(inner := getattr(value, name)):
            continue
        nested = type(inner).__module__.startswith("xllamacpp") and not isinstance(inner, int)
        if nested:
            yield from _walk(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner


def apply(params: Any, argv: Sequence[str]) -> None:
    """Set every flag of argv on params. Raises FlagError."""
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word.lstrip("-") == "":
            raise FlagError(f"invalid argument: {word}")
        name = word.lstrip("-").replace("_", "-")
        name = NEGATED_SHORT.get(name, name)
        special = SPECIAL.get(name)
        if special is not None:
            special(params, _value(word, words))
        elif name in SWITCHES:
            SWITCHES[name](params)
        else:
            _apply_field(params, word, name, words)


def _apply_field(params: Any, word: str, name: str, words: list[str]) -> None:
    found = _find(params, name)
    if found is not None:
        path, negated = found
        current = _get(params, path)
        if isinstance(current, bool):
            given = words.pop(0) if words and words[0] in _BOOLS else "on"
            _set(params, path, _BOOLS[given] is not negated)
        else:
            _set(params, path, _parse(word, current, _value(word, words), path))
        return
    positive = name.removeprefix("no-")
    found = _find(params, positive) if positive != name else None
    if found is None or not isinstance(_get(params, found[0]), bool):
        raise FlagError(f"unknown flag: {word}")
    _set(params, found[0], found[1])


def _find(params: Any, name: str) -> tuple[str, bool] | None:
    """The field that a flag sets, and whether the field says the opposite."""
    if name in NEGATED:
        path = NEGATED[name]
        return path, path.startswith("no_")
    if name in NAMES:
        return NAMES[name], False
    leaf = name.replace("-", "_")
    known = {path for path, _ in fields(params)}
    for path in (leaf, *(f"{group}.{leaf}" for group in _GROUPS)):
        if path in known and path not in _HIDDEN:
            return path, False
    return None


def _get(params: Any, path: str) -> Any:
    for part in path.split("."):
        params = getattr(params, part)
    return params


def _set(params: Any, path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for part in parents:
        params = getattr(params, part)
    try:
        setattr(params, leaf, value)
    except (TypeError, ValueError, OverflowError, AssertionError) as exc:
        raise FlagError(f"while handling argument for {path}: {exc}") from exc


def _value(word: str, words: list[str]) -> str:
    if not words:
        raise FlagError(f"while handling argument {word}: expected a value")
    return words.pop(0)


_BOOLS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
_WORDS: Mapping[str, Mapping[str, Any]] = {
    "n_gpu_layers": {"auto": -1, "all": -2},
    "speculative.draft.n_gpu_layers": {"auto": -1, "all": -2},
    "flash_attn_type": {
        "on": xl.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": xl.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    },
    "load_mode": {
        "mmap+mlock": xl.llama_load_mode.LLAMA_LOAD_MODE_MMAP_MLOCK,
        "dio": xl.llama_load_mode.LLAMA_LOAD_MODE_DIRECT_IO,
    },
    "enable_reasoning": {"on": 1, "off": 0, "auto": -1},
    "sampling.seed": {"-1": xl.LLAMA_DEFAULT_SEED},
}


def _parse(word: str, current: Any, text: str, path: str) -> Any:
    named = _WORDS.get(path, {})
    if text in named:
        return named[text]
    try:
        match current:
            case enum.IntEnum():
                return choice(type(current), text)
            case int():
                return int(text)
            case float():
                return float(text)
            case str():
                return text
            case set():
                return set(text.split(","))
            case dict():
                return {k: json.dumps(v) for k, v in json.loads(text).items()}
            case _:
                return _parse_list(current, text, path)
    except (ValueError, KeyError, AttributeError) as exc:
        raise FlagError(f"while handling argument {word}: {text!r} does not fit: {exc}") from exc


def _parse_list(current: list[Any], text: str, path: str) -> list[Any]:
    parts = text.split(",")
    if path == "speculative.types":
        return [choice(xl.common_speculative_type, part) for part in parts]
    if path == "tensor_split":
        return [float(p) for p in parts] + [0.0] * (len(current) - len(parts))
    if current and isinstance(current[0], int | float) and not isinstance(current[0], bool):
        return [type(current[0])(part) for part in parts]
    return [*current, *parts]


def choices(kind: type[enum.IntEnum]) -> dict[str, enum.IntEnum]:
    """An enum's members by the short names that llama-server uses."""
    members = list(kind.__members__)
    common = members[0]
    for member in members:
        while not member.startswith(common):
            common = common.rpartition("_")[0]
    prefix = common.rpartition("_")[0] + "_" if common in members else common + "_"
    prefix = prefix.replace("__", "_")
    return {m.removeprefix(prefix).lower(): v for m, v in kind.__members__.items()}


def choice(kind: type[enum.IntEnum], text: str) -> enum.IntEnum:
    known = choices(kind)
    short = text.lower().replace("-", "_")
    if short not in known:
        raise ValueError(f"choose one of {', '.join(known)}")
    return known[short]


def _read(text: str) -> str:
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise FlagError(f"while handling argument: cannot read {text!r}: {exc}") from exc


def _set_key_file(params: Any, text: str) -> None:
    lines = _read(text).splitlines()
    params.api_keys = [k for k in (line.strip() for line in lines) if k and not k.startswith("#")]


def _set_grammar(params: Any, grammar: str) -> None:
    value = params.sampling.grammar
    value.type = xl.common_grammar_type.COMMON_GRAMMAR_TYPE_USER
    value.grammar = grammar
    params.sampling.grammar = value


def _set_schema(params: Any, text: str) -> None:
    try:
        grammar = xl.json_schema_to_grammar(json.loads(text))
    except (ValueError, TypeError, RuntimeError) as exc:
        raise FlagError(f"while handling argument --json-schema: {exc}") from exc
    _set_grammar(params, grammar)


def _add_loras(params: Any, text: str, scaled: bool) -> None:
    adapters = list(params.lora_adapters)
    for part in text.split(","):
        path, _, scale = part.rpartition(":") if scaled else (part, "", "1.0")
        adapter = xl.CommonAdapterLoraInfo()
        try:
            adapter.path, adapter.scale = path, float(scale)
        except ValueError as exc:
            raise FlagError(f"while handling argument --lora-scaled: {part!r}: {exc}") from exc
        adapters.append(adapter)
    params.lora_adapters = adapters


def _set_timeout(params: Any, text: str) -> None:
    for name in ("timeout_read", "timeout_write"):
        _set(params, name, _parse("--timeout", 0, text, name))


def _rope_scale(params: Any, text: str) -> None:
    try:
        params.rope_freq_scale = 1.0 / float(text)
    except (ValueError, ZeroDivisionError) as exc:
        raise FlagError(f"while handling argument --rope-scale: {text!r}: {exc}") from exc


SPECIAL: Mapping[str, Callable[[Any, str], None]] = {
    "host": lambda p, v: _set(p, "hostnames", v.split(",")),
    "api-key": lambda p, v: _set(p, "api_keys", v.split(",")),
    "api-key-file": _set_key_file,
    "timeout": _set_timeout,
    "to": _set_timeout,
    "rope-scale": _rope_scale,
    "grammar": _set_grammar,
    "grammar-file": lambda p, v: _set_grammar(p, _read(v)),
    "j": _set_schema,
    "json-schema": _set_schema,
    "jf": lambda p, v: _set_schema(p, _read(v)),
    "json-schema-file": lambda p, v: _set_schema(p, _read(v)),
    "chat-template-file": lambda p, v: _set(p, "chat_template", _read(v)),
    "lora": lambda p, v: _add_loras(p, v, scaled=False),
    "lora-scaled": lambda p, v: _add_loras(p, v, scaled=True),
}


# What llama-server reads from there too; a flag counts more.
_VARIABLES = {
    "HF_TOKEN": "--hf-token",
    "LLAMA_ARG_MODEL_URL": "--model-url",
    "LLAMA_ARG_MMPROJ_URL": "--mmproj-url",
    "LLAMA_CHAT_TEMPLATE_KWARGS": "--chat-template-kwargs",
}


def of_variables(environ: Mapping[str, str]) -> list[str]:
    """The environment's part of the command line."""
    given = ((flag, environ.get(name)) for name, flag in _VARIABLES.items())
    return [word for flag, value in given if value for word in (flag, value)]


def _rerank(params: Any) -> None:
    params.embedding = True
    params.pooling_type = xl.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def _load(mode: str) -> Callable[[Any], None]:
    def switch(params: Any) -> None:
        params.load_mode = choices(xl.llama_load_mode)[mode]

    return switch


SWITCHES: Mapping[str, Callable[[Any], None]] = {
    "rerank": _rerank,
    "reranking": _rerank,
    "mmap": _load("mmap"),
    "no-mmap": _load("none"),
    "mlock": _load("mlock"),
    "v": lambda p: _set(p, "verbosity", 10),
    "verbose": lambda p: _set(p, "verbosity", 10),
}


def _describe(value: Any) -> str:
    match value:
        case bool():
            return "on|off"
        case enum.IntEnum():
            return "|".join(choices(type(value)))
        case int() | float():
            return "N"
        case str():
            return "TEXT"
        case _:
            return "A,B,..."


def usage() -> str:
    """Every flag with its type, choices and default, read from the object itself."""
    params = xl.CommonParams()
    names: dict[str, list[str]] = {}
    for name, path in NAMES.items():
        names.setdefault(path, []).append(("--" if len(name) > 3 else "-") + name)  # noqa: PLR2004
    lines = ["usage: python -m llamactl.engine --model FILE [--port N] [flags]", "", "flags:"]
    for path, value in fields(params):
        if path in _HIDDEN:
            continue
        flags = names.get(path, ["--" + path.rpartition(".")[2].replace("_", "-")])
        default = str(value)[:40].replace("\n", "\\n")
        lines.append(f"  {', '.join(flags)} {_describe(value)}  (default: {default})")
    further = [f"--{n}" if len(n) > 2 else f"-{n}" for n in (*SPECIAL, *SWITCHES)]  # noqa: PLR2004
    lines += ["", "further flags: " + ", ".join(further), "API key: LLAMA_API_KEY"]
    return "\n".join(lines)
