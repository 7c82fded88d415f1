"""vLLM's options: their names, to argv.

Flags, and what they mean, are those of the engine's own help; where it can't be read, of a vLLM
that was asked before (`flags.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import cast, get_args

from llamactl.backends.vllm.flags import FLAGS
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue, Scalar
from llamactl.core.secrets.masking import masked
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

EXTRA_ARGS = EngineOption(
    "extra_args", (), "list", (), "", "additional arguments, passed to the engine as they are", ""
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
PROGRAMS = frozenset(
    {"io_processor_plugin", "logits_processors", "middleware", "reasoning_parser_plugin",
     "scheduler_cls", "tool_parser_plugin", "worker_cls", "worker_extension_cls"}
)  # fmt: skip
_EXAMPLES = re.compile(r"json_arg")  # of what its help says of JSON, not options
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_NEGATIVE = re.compile(r"-\.?\d")
_TRUTHS: Mapping[str, bool] = {
    "on": True, "true": True, "1": True, "yes": True,
    "off": False, "false": False, "0": False, "no": False,
}  # fmt: skip


def listed(text: str) -> list[EngineOption]:
    """The options that its help lists; none for another text."""
    options = [
        replace(one, words=MANY) if one.kind == "list" else one
        for one in read_help(text)
        if one.name not in QUESTIONS and not _EXAMPLES.match(one.name)
    ]
    flags = {flag for one in options for flag in one.flags}
    is_help = {"--model", "--served-model-name", "--port"} <= flags  # a wrapper may print its own
    return [*options, EXTRA_ARGS] if is_help else []


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
        if isinstance(value, bool) and key.startswith("no_"):
            return key.removeprefix("no_"), not value
        return key, value
    truth = _truth(option, value)
    return option.name, value if truth is None else truth != option.is_off(flag)


def _truth(option: EngineOption, value: OptionValue | None) -> bool | None:
    """What a value says to a switch; None where it is none. Raises InvalidOption."""
    if isinstance(value, bool):
        if option.kind != "switch":
            raise InvalidOption(
                f"cannot set the engine option {option.name!r} to {str(value).lower()}: it needs a "
                f"value ({option.kind}); give one, or null for the engine's default"
            )
        return value
    plain = option.kind == "switch" and isinstance(value, str | int | float)
    return _TRUTHS.get(str(value).lower()) if plain else None


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
    if isinstance(value, str) and text.startswith("-") and not _NEGATIVE.match(text):
        raise InvalidOption(
            f"the value {masked({key: text})[key]!r} of engine option {key!r} looks like a flag; "
            "use extra_args for other flags"
        )
    return text


def extra_words(options: Mapping[str, OptionValue]) -> list[str]:
    """Raises InvalidOption."""
    given = options.get(EXTRA_ARGS.name, ())
    if isinstance(given, str | int | float) or not all(isinstance(one, str) for one in given):
        raise InvalidOption("extra_args must be a list of strings")
    words = [str(word) for word in given]
    for word in words:
        name = spelled(word.partition("=")[0])
        if word.startswith("-") and (name in OURS or name in ELSEWHERE or name == "port"):
            why = ELSEWHERE.get(name, "llamactl sets it")
            raise InvalidOption(f"extra_args can't contain {word.partition('=')[0]!r}: {why}")
        if "\0" in word:
            raise InvalidOption("extra_args contains a NUL character")
    return words


def parse(argv: Sequence[str]) -> dict[str, OptionValue]:
    """Read back what `render` wrote, and what people give besides."""
    options: dict[str, OptionValue] = {}
    words = list(argv)
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if not flag.startswith("-"):
            if flag != "serve":
                options.setdefault("model", flag)
            continue
        option, _ = find(flag, UNREAD)
        name = option.name if option else spelled(flag)
        values = [value] if equals else []
        several = option is not None and option.words == MANY
        is_switch = option is not None and option.kind == "switch"
        while words and not is_switch and not equals and not _is_flag(words[0]):
            values.append(words.pop(0))
            if not several:
                break
        if values:
            options[name] = [*values] if several else values[0]
        else:
            options[name] = option is None or not option.is_off(flag)
    return options


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not _NEGATIVE.match(word)


def given(options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """All options of an instance, those in its further arguments too, which count more."""
    return {**options, **parse(extra_words(options))}


def adapters(options: Mapping[str, OptionValue]) -> list[str]:
    """Names of LoRA adapters: `NAME=PATH`, or JSON that says both."""
    modules = options.get("lora_modules", ())
    found = [modules] if isinstance(modules, str | int | float) else modules
    return [name for name, _ in map(adapter, map(str, found)) if name]


def adapter(text: str) -> tuple[str, str]:
    """Its name and its path; "" for what can't be read."""
    if not text.startswith("{"):
        name, _, path = text.partition("=")
        return name, path
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    return str(said.get("name", "")), str(said.get("path", ""))
