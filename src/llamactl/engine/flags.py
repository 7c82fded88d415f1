"""llama-server's flags, applied to a `CommonParams` object.

A flag is in a row of `rows.py`, or it is the field's own name; its type and choices are read from
the object.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xllamacpp as xl

from llamactl.engine.rows import ROWS
from llamactl.engine.variables import VARIABLES, negated


class FlagError(Exception):
    """A flag that is unknown, lacks its value, or has one that does not fit."""


def _spelt() -> Iterator[tuple[str, str, bool, bool]]:
    """Each flag of the rows, its field, what it sets a switch to, whether it turns it off."""
    for row, path in ROWS.items():
        flags = row.split()
        on = [n for n, flag in enumerate(flags) if flag[:2] == "--" and flag[:5] != "--no-"]
        for n, flag in enumerate(flags):
            off = bool(on) and n > on[-1]  # they stand behind the last one that turns it on
            sets = off is path.startswith("!")
            yield flag.lstrip("-"), path.removeprefix("!"), sets, off


# flag without its dashes -> field of CommonParams, and what the flag sets it to if it is a switch
FLAGS: Mapping[str, tuple[str, bool]] = {name: (path, sets) for name, path, sets, _ in _spelt()}
_OFF = frozenset(name for name, _, _, off in _spelt() if off)
_GROUPS = ("sampling", "speculative", "speculative.draft", "diffusion")
_HIDDEN = ("hostnames", "api_keys")
_SILENT = -1  # below all levels of llama.cpp's log


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
    words, logs = list(argv), True
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word.lstrip("-") == "":
            raise FlagError(f"invalid argument: {word}")
        name = word.lstrip("-").replace("_", "-")
        special = SPECIAL.get(name)
        if name == "log-disable":
            logs = False
        elif special is not None:
            special(params, _value(word, words))
        elif name in SWITCHES:
            SWITCHES[name](params)
        else:
            _apply_field(params, word, name, words)
    if not logs:  # wherever it is given: no verbosity turns the log on again
        params.verbosity = _SILENT


def _apply_field(params: Any, word: str, name: str, words: list[str]) -> None:
    path, sets = _find(name)
    current = _get(params, path) if path else None
    if isinstance(current, bool):
        takes_word = name not in _OFF and words and words[0] in _BOOLS
        given = _BOOLS[words.pop(0)] if takes_word else True
        _set(params, path, given is sets)
    elif path and name not in _OFF:
        _set(params, path, _parse(word, current, _value(word, words), path))
    else:
        path, sets = _find(name.removeprefix("no-")) if name[:3] == "no-" else ("", True)
        if not path or not isinstance(_get(params, path), bool):
            raise FlagError(f"unknown flag: {word}")
        _set(params, path, not sets)


def field_of(name: str) -> str:
    """The field that a flag sets; "" for none."""
    return _find(name)[0]


@cache
def _known() -> frozenset[str]:
    return frozenset(path for path, _ in fields(xl.CommonParams()))


def _find(name: str) -> tuple[str, bool]:
    """The field that a flag sets, or "", and to what if it is a switch."""
    if name in FLAGS:
        return FLAGS[name]
    leaf, known = name.replace("-", "_"), _known()
    for path in (leaf, *(f"{group}.{leaf}" for group in _GROUPS)):
        if path in known and path not in _HIDDEN:
            return path, True
    return "", True


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


_TRUE, _FALSE = ("on", "enabled", "true", "1"), ("off", "disabled", "false", "0")  # of variables
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
    if re.fullmatch(r"-?\d+", text) and int(text) in {*map(int, known.values())}:
        return kind(int(text))
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
    **dict.fromkeys(
        ("ui-config-file", "webui-config-file"), lambda p, v: _set(p, "ui_config_json", _read(v))
    ),
    "lora": lambda p, v: _add_loras(p, v, scaled=False),
    "lora-scaled": lambda p, v: _add_loras(p, v, scaled=True),
}


def of_variables(environ: Mapping[str, str]) -> list[str]:
    """The environment's part of the command line, as llama-server reads it; a flag counts more.

    Raises FlagError.
    """
    return [word for name, value in environ.items() if value for word in _words_of(name, value)]


def _words_of(name: str, value: str) -> list[str]:
    flag = VARIABLES.get(name) or negated(name)
    if not flag:
        return []
    on, off = _switch_flags(flag)
    if not on:
        return [f"--{flag}", value] if name in VARIABLES else []
    is_on = name in VARIABLES and (value in _TRUE)
    if not is_on and off and name in VARIABLES and value not in _FALSE:
        raise FlagError(f"while handling the variable {name}: {value!r} is neither true nor false")
    return [*on] if is_on else [*off]


def _switch_flags(flag: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What turns it on, and off; none for a flag that takes a value."""
    if flag in SWITCHES:
        return (f"--{flag}",), (f"--no-{flag}",) if f"no-{flag}" in SWITCHES else ()
    path = _find(flag)[0]
    if path and isinstance(_get(xl.CommonParams(), path), bool):
        return (f"--{flag}", "true"), (f"--{flag}", "false")
    return (), ()


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
    **dict.fromkeys(("dio", "direct-io"), _load("direct_io")),
    **dict.fromkeys(("ndio", "no-direct-io"), _load("mmap")),
    **dict.fromkeys(("v", "verbose", "log-verbose"), lambda p: _set(p, "verbosity", 10)),
}
