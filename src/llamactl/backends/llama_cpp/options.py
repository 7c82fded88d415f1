"""llama-server's options: their names, to argv and back.

Flags, and what they mean, are those of the engine's own help; where it can't be read, of a
llama-server that was asked before (`flags.py`). What is written here is what llamactl itself
makes of options: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast, get_args

from llamactl.backends.llama_cpp.flags import FLAGS
from llamactl.backends.shared.extra_args import extra_args
from llamactl.backends.shared.truths import truth_of
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue, Scalar
from llamactl.core.secrets.masking import masked
from llamactl.policy.definition.engine_help import (
    ON_OFF,
    UNREAD,
    EngineOption,
    Kind,
    Vocabulary,
    name_of,
    spelled,
)

# By the names under which llamactl reads them, where the help begins with others.
_NAMES: Mapping[str, str] = {
    "rerank": "reranking", "spec_draft_model": "model_draft", "spec_draft_ngl": "gpu_layers_draft",
    "spec_draft_type_k": "cache_type_k_draft", "spec_draft_type_v": "cache_type_v_draft",
    "temperature": "temp",
}  # fmt: skip
# They take one word, whose parts are separated by commas.
_JOINED = frozenset(
    {"alias", "device", "fit_target", "lora", "override_kv", "override_tensor", "tags",
     "tensor_split"}
)  # fmt: skip
# Each time that one of these is given, it adds to the former ones.
ADDING = frozenset(
    {"alias", "control_vector", "control_vector_scaled", "dry_sequence_breaker", "logit_bias",
     "lora", "lora_scaled", "override_kv", "override_tensor", "reverse_prompt",
     "spec_draft_override_tensor", "tags"}
)  # fmt: skip
SCALED = frozenset({"control_vector_scaled", "lora_scaled"})
ROUTER = EngineOption(
    "router", (), "switch", (), "", "serve several models, without naming one here", ""
)
_OURS = frozenset({"host", "api_key", "api_key_file", "ssl_key_file", "ssl_cert_file"})
# At these an engine says something and ends.
QUESTIONS = frozenset({"cache_list", "completion_bash", "help", "list_devices", "version"})
# Files and folders of this machine, as its help has them.
PATHS = frozenset(
    {
        "chat_template_file", "control_vector", "control_vector_scaled", "grammar_file",
        "json_schema_file", "log_file", "log_prompts_dir", "lookup_cache_dynamic",
        "lookup_cache_static", "lora", "lora_scaled", "mcp_servers_config", "media_path", "mmproj",
        "model", "model_draft", "model_vocoder", "models_dir", "models_preset", "path",
        "slot_save_path", "ui_config_file",
    }
)  # fmt: skip
FOLDERS = frozenset({"log_prompts_dir", "media_path", "models_dir", "path", "slot_save_path"})
SOURCES = ("model", "model_url", "hf_repo", "docker_repo")  # without one it routes to many models
_NAMED = re.compile(r"(-a|--alias)(=|\Z)|LLAMA_ARG_ALIAS\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_NEGATIVE = re.compile(r"-\.?\d")


def is_question(option: EngineOption) -> bool:
    return option.name in QUESTIONS


@cache
def _former() -> Vocabulary:
    """Of the llama-server that was asked before."""
    return Vocabulary(_flag_line(line) for line in FLAGS.split("\n") if line)


def with_former(known: Vocabulary) -> Vocabulary:
    """With flags that it lacks, so that their values are not taken for words of their own."""
    return Vocabulary([*known.values(), *_former().values()])


def _flag_line(line: str) -> EngineOption:
    head, *flags = line.split(" ")
    kind, _, choices = head.partition(":")
    words = int(flags.pop(0)) if flags[0].isdigit() else 1
    assert kind in get_args(Kind)
    given = tuple(choices.split(",")) if choices else ()
    one = cast(Kind, kind)
    return EngineOption(name_of(tuple(flags)), tuple(flags), one, given, "", "", "", words=words)


def canonical(
    options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
) -> dict[str, OptionValue | None]:
    """Give every option its one name. Raises InvalidOption.

    `known`: the flags of the engine's own help.
    """
    result: dict[str, OptionValue | None] = {}
    for given, value in options.items():
        key, one = _canonical(given, value, known)
        _check_name(given, key)
        if key in result:
            raise InvalidOption(f"engine option {key!r} is given twice")
        result[key] = one
    return result


def _canonical(
    given: str, value: OptionValue | None, known: Vocabulary
) -> tuple[str, OptionValue | None]:
    option, flag = _find(given, known)
    if option is None:
        key = spelled(given)
        if not isinstance(value, bool) or not key.startswith("no_"):
            return key, value
        option, flag = _find(key.removeprefix("no_"), known)  # which has no such form
        return (name(option) if option else key.removeprefix("no_")), not value
    truth = _truth(option, value)
    if truth is None:
        return name(option), value
    return name(option), truth != option.is_off(flag)


def _truth(option: EngineOption, value: OptionValue | None) -> bool | None:
    """What a value says to a switch; None where it is none. Raises InvalidOption."""
    if isinstance(value, bool) and option.help and not _takes_truth(option):
        what = "a list" if option.kind == "list" else f"a value ({option.kind})"
        raise InvalidOption(
            f"cannot set the engine option {name(option)!r} to {str(value).lower()}: it needs "
            f"{what}; give one, or null for the engine's default"
        )
    if isinstance(value, bool):
        return value
    return truth_of(value) if option.kind == "switch" else None


def _takes_truth(option: EngineOption) -> bool:
    return option.kind == "switch" or {*ON_OFF} <= {*option.choices}


def _find(given: str, known: Vocabulary) -> tuple[EngineOption | None, str]:
    """The option, and which of its flags somebody means."""
    for vocabulary in (known, _former()):
        if flag := vocabulary.flag_of(given):
            return vocabulary[flag], flag
    return None, ""


def name(option: EngineOption) -> str:
    return _NAMES.get(option.name, option.name)


def _check_name(given: str, key: str) -> None:
    if key in _OURS:
        raise InvalidOption(f"engine option {given!r} is set by llamactl and can't be changed")
    if not _NAME.match(key):
        raise InvalidOption(
            f"{given!r} is not a valid engine option name: use letters, digits, '-' or '_'"
        )


def render(options: Mapping[str, OptionValue], known: Vocabulary = UNREAD) -> list[str]:
    """Options to argv. Raises InvalidOption where a value could become a flag."""
    argv: list[str] = []
    for key, value in options.items():
        if key == "extra_args":
            argv += _extra_args({key: value})
        else:
            argv += _flag(key, value, known)
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
        flag = words.pop(0)
        option, _ = _find(flag, UNREAD)
        key = name(option) if option else spelled(flag)
        values: list[Scalar] = []
        while words and not _is_flag(words[0]):
            values.append(_scalar(words.pop(0)))
        if values:
            _merge(options, key, values[0])
        elif option is None and key.startswith("no_"):
            options[key.removeprefix("no_")] = False
        else:
            options[key] = option is None or not option.is_off(flag)
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
        if str(number) == word and math.isfinite(number):
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


def _flag(key: str, value: OptionValue, known: Vocabulary) -> list[str]:
    option, flag = _find(key, known)
    if isinstance(value, bool):
        return _switch(key, value, option, known)
    flag = flag if flag.startswith("--") else "--" + key.replace("_", "-")
    if isinstance(value, str | int | float):
        return [flag, _text(key, value)]
    texts = [_text(key, item) for item in value]
    if option is not None and option.words > 1:
        return [flag, *texts] if texts else []
    joined = key in _JOINED or (option is not None and option.kind == "list")
    if joined:
        return [flag, ",".join(texts)] if texts else []
    return [word for text in texts for word in (flag, text)]


def _switch(key: str, value: bool, option: EngineOption | None, known: Vocabulary) -> list[str]:
    """Nothing where the engine has no flag for it: leaving it out says the same."""
    on, off = "--" + key.replace("_", "-"), "--no-" + key.replace("_", "-")
    if option is None:
        return [on if value else off]
    flags = [flag for flag in option.flags if flag.startswith("--") and flag not in option.off]
    on = flags[0] if known and flags and on not in flags else on
    if {*ON_OFF} <= {*option.choices}:
        return [on, "on" if value else "off"]
    if option.kind != "switch":
        return [on if value else off]
    if not value:
        long = [flag for flag in option.off if flag.startswith("--")]
        if key == option.name == spelled(on) and off in known:  # an option of its own
            return [off]
        return [off] if off in long else long[:1]
    return [] if known and on not in known and off in known else [on]


def _extra_args(options: Mapping[str, OptionValue]) -> list[str]:
    words = extra_args(options)
    for word in words:
        name = word.partition("=")[0].lstrip("-").replace("-", "_")
        if word.startswith("-") and (name in _OURS or name == "port"):
            flag = word.partition("=")[0]
            raise InvalidOption(f"extra_args can't contain {flag!r}: llamactl sets it")
    return words
