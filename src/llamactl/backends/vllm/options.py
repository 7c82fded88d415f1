"""vLLM's options: their names, to argv.

Flags, and what they mean, are those of the engine's own help; where it can't be read, of a vLLM
that was asked before (`flags.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import cast, get_args

from llamactl.backends.shared.extra_args import EXTRA_ARGS, extra_args
from llamactl.backends.shared.truths import truth_of
from llamactl.backends.vllm.flags import FLAGS
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue, Scalar
from llamactl.core.secrets.masking import masked
from llamactl.policy.definition.confinement import Meanings
from llamactl.policy.definition.engine_help import (
    MANY,
    UNREAD,
    EngineOption,
    Kind,
    Vocabulary,
    name_of,
    read_help,
    spelled,
)

# llamactl gives it these.
OURS = frozenset({"host", "api_key"})
# It would not listen where llamactl looks for it, or not by plain HTTP.
ELSEWHERE: Mapping[str, str] = {
    "data_parallel_multi_port_external_lb": "it would listen on several ports",
    "grpc": "it would serve no HTTP",
    "headless": "it would serve no HTTP",
    "root_path": "llamactl routes requests to the engine's own paths",
    "ssl_ca_certs": "engines serve plain HTTP on this machine",
    "ssl_certfile": "engines serve plain HTTP on this machine",
    "ssl_keyfile": "engines serve plain HTTP on this machine",
    "uds": "llamactl reaches engines by a port",
}
# At these it says something and ends.
QUESTIONS = frozenset({"help", "version"})
# Each time that one of these is given, it adds to the former ones.
ADDING = frozenset({"middleware"})
PATHS = frozenset(
    {
        "allowed_local_media_path", "chat_template", "config", "download_dir", "hf_config_path",
        "log_config_file", "model", "reasoning_parser_plugin", "tokenizer", "tool_parser_plugin",
    }
)  # fmt: skip
FOLDERS = frozenset(
    {"allowed_local_media_path", "download_dir", "hf_config_path", "model", "tokenizer"}
)
# Classes, modules and plugins that it imports, by name or in JSON.
PROGRAMS = frozenset(
    {"additional_config", "compilation_config", "config", "distributed_executor_backend",
     "ec_manager_config", "ec_transfer_config", "io_processor_plugin", "kv_transfer_config",
     "log_config_file", "logging_config", "logits_processors", "middleware",
     "model_class_overrides", "reasoning_parser_plugin", "scheduler_cls", "tool_parser_plugin",
     "trust_remote_code", "weight_transfer_config", "worker_cls", "worker_extension_cls"}
)  # fmt: skip
MEANINGS = Meanings(
    PROGRAMS | {"cc"},  # short for one of them
    PATHS,
    frozenset({"lora_modules"}),
    frozenset(
        {"cohere_is_reasoning_model", "enable_lora", "enable_mixed_moe_lora_format",
         "enable_tower_connector_lora", "exclude_tools_when_tool_choice_none",
         "language_model_only", "lora_dtype", "lora_target_modules", "max_lora_cls_labels",
         "max_lora_rank", "max_model_len", "model_impl", "specialize_active_lora"}
    ),
)  # fmt: skip
_INTEGERS = frozenset(
    {"api_server_count", "block_size", "data_parallel_rank", "data_parallel_size_local",
     "max_cpu_loras", "max_log_len", "max_num_active_seqs", "max_num_seqs",
     "num_gpu_blocks_override", "spec_tokens"}
)  # fmt: skip
_EXAMPLES = re.compile(r"json_arg")  # of what its help says of JSON, not options
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
NEGATIVE = re.compile(r"-\.?\d")


def listed(text: str) -> list[EngineOption]:
    """The options that its help lists; none for another text."""
    options = [
        _typed(one)
        for one in read_help(text)
        if one.name not in QUESTIONS and not _EXAMPLES.match(one.name)
    ]
    flags = {flag for one in options for flag in one.flags}
    is_help = {"--model", "--served-model-name", "--port"} <= flags  # a wrapper may print its own
    return [*options, EXTRA_ARGS] if is_help else []


def _typed(option: EngineOption) -> EngineOption:
    """Its help names no type, and a default of None shows none."""
    if option.name in _INTEGERS:
        return replace(option, kind="integer")
    return replace(option, words=MANY) if option.kind == "list" else option


@cache
def former() -> Vocabulary:
    """Of the vLLM that was asked before."""
    return Vocabulary(_flag_line(line) for line in FLAGS.split("\n") if line)


def with_former(known: Vocabulary) -> Vocabulary:
    """With flags that it lacks, so that their values are not taken for words of their own."""
    return Vocabulary([*known.values(), *former().values()])


def _flag_line(line: str) -> EngineOption:
    kind, *flags = line.split(" ")
    assert kind in get_args(Kind)
    one, words = cast(Kind, kind), MANY if kind == "list" else 1
    return EngineOption(name_of(tuple(flags)), tuple(flags), one, (), "", "", "", words=words)


def find(given: str, known: Vocabulary) -> tuple[EngineOption | None, str]:
    """The option, and which of its flags somebody means."""
    for vocabulary in (known, former()):
        if flag := vocabulary.flag_of(given):
            return vocabulary[flag], flag
    return None, ""


def canonical(
    options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
) -> dict[str, OptionValue | None]:
    """Give every option its one name. Raises InvalidOption."""
    result: dict[str, OptionValue | None] = {}
    for given, value in options.items():
        key, one = _canonical(given, value, known)
        if one is not None and one is not False:
            _check_free(given, key)
        _check_name(given, key)
        if key in result:
            raise InvalidOption(f"engine option {key!r} is given twice")
        result[key] = one
    return result


def _canonical(
    given: str, value: OptionValue | None, known: Vocabulary
) -> tuple[str, OptionValue | None]:
    key = spelled(given)
    if key == "model_tag":  # as its help names what has no flag
        return "model", value
    option, flag = find(given, known)
    if option is None:
        check_whole(given)
        if isinstance(value, bool) and key.startswith("no_"):
            return key.removeprefix("no_"), not value
        return key, value
    truth = _truth(option, value)
    return option.name, value if truth is None else truth != option.is_off(flag)


def check_whole(flag: str) -> None:
    """Its parser takes the beginning of a flag for the flag. Raises InvalidOption.

    What the settings forbid is known by its full name.
    """
    name = spelled(flag)
    if former().flag_of(flag):
        return
    for whole in former():
        if whole.startswith("--") and spelled(whole).startswith(name):
            raise InvalidOption(
                f"cannot use {flag!r}: vLLM would take it for {whole}, or for another flag that "
                "begins like it; write it in full"
            )


def _truth(option: EngineOption, value: OptionValue | None) -> bool | None:
    """What a value says to a switch; None where it is none. Raises InvalidOption."""
    if isinstance(value, bool):
        if option.kind != "switch":
            raise InvalidOption(
                f"cannot set the engine option {option.name!r} to {str(value).lower()}: it needs a "
                f"value ({option.kind}); give one, or null for the engine's default"
            )
        return value
    return truth_of(value) if option.kind == "switch" else None


def _check_free(given: str, key: str) -> None:
    if key in OURS:
        raise InvalidOption(f"engine option {given!r} is set by llamactl and can't be changed")
    if key in ELSEWHERE:
        raise InvalidOption(f"cannot use the engine option {given!r}: {ELSEWHERE[key]}")


def _check_name(given: str, key: str) -> None:
    if "." in given:
        whole = spelled(given.partition(".")[0])
        raise InvalidOption(
            f"cannot use the engine option {given!r}: its parts have no options of their own; "
            f"write {whole!r} as JSON, or use extra_args"
        )
    if not _NAME.match(key):
        raise InvalidOption(
            f"{given!r} is not a valid engine option name: use letters, digits, '-' or '_'"
        )


def render(options: Mapping[str, OptionValue], known: Vocabulary = UNREAD) -> list[str]:
    """Options to argv, but the model, which has no flag. Raises InvalidOption."""
    argv: list[str] = []
    for key, value in options.items():
        if key == EXTRA_ARGS.name:
            continue  # they come last
        option, flag = find(key, known)
        name = flag if flag.startswith("--") else "--" + key.replace("_", "-")
        if isinstance(value, bool):
            argv += [name] if value else _off(name, option)
        elif isinstance(value, str | int | float):
            argv += [name, _text(key, value)]
        elif option is not None and option.words == MANY:
            argv += [name, *(_text(key, one) for one in value)] if value else []
        else:
            argv += [word for one in value for word in (name, _text(key, one))]
    return argv + extra_words(options)


def _off(name: str, option: EngineOption | None) -> list[str]:
    """Nothing where the engine has no flag for it: leaving it out says the same."""
    if option is None:
        return [f"--no-{name[2:]}"]
    return [*option.off[:1]]


def _text(key: str, value: Scalar) -> str:
    text = str(value)
    if "\0" in text:
        raise InvalidOption(f"engine option {key!r} contains a NUL character")
    if isinstance(value, str) and text.startswith("-") and not NEGATIVE.match(text):
        raise InvalidOption(
            f"the value {masked({key: text})[key]!r} of engine option {key!r} looks like a flag; "
            "use extra_args for other flags"
        )
    return text


def extra_words(options: Mapping[str, OptionValue]) -> list[str]:
    """Raises InvalidOption."""
    words = extra_args(options)
    for word in words:
        name = spelled(word.partition("=")[0])
        if word.startswith("--"):
            check_whole(word.partition("=")[0])
        if word.startswith("-") and (name in OURS or name in ELSEWHERE or name == "port"):
            why = ELSEWHERE.get(name, "llamactl sets it")
            raise InvalidOption(f"extra_args can't contain {word.partition('=')[0]!r}: {why}")
    return words
