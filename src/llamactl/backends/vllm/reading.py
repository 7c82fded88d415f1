"""What an instance's options come to, with those in its further arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from llamactl.backends.vllm.options import NEGATIVE, extra_words, find
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.engine_help import MANY, UNREAD, spelled

_UNITS: Mapping[str, int] = {
    "k": 10**3, "m": 10**6, "g": 10**9, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30,
}  # fmt: skip


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
    return word.startswith("-") and not NEGATIVE.match(word)


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


def size_of(value: object) -> int:
    """What `32k`, `4K` or a number is to vLLM; 0 where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0
    text = str(value).strip()
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    try:
        return max(0, int(float(number) * unit))
    except (ValueError, OverflowError):
        return 0
