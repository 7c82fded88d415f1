"""Options of engines that read their arguments with Python's argparse: names, and to argv.

https://docs.python.org/3/library/argparse.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llamactl.backends.shared.extra_args import EXTRA_ARGS, extra_args
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue, Scalar
from llamactl.policy.definition.engine_help import (
    EngineOption,
    Vocabulary,
    read_help,
    spelled,
)

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Taken:
    """Options that llamactl sets, and those that its settings may forbid."""

    ours: frozenset[str]
    bound: frozenset[str] = frozenset()

    def check_whole(self, given: str, known: Vocabulary) -> None:
        """argparse takes the beginning of a flag for the flag. Raises InvalidOption.

        What is forbidden is known by its full name.
        """
        name = spelled(given)
        if known.named(given) is not None or name in self.ours | self.bound:
            return
        for whole in sorted({*self.ours, *self.bound, "port"}):
            if whole != name and whole.startswith(name):
                raise InvalidOption(
                    f"cannot use {given!r}: the engine would take it for {whole!r}, or for another "
                    "flag that begins like it; write it in full"
                )


_QUESTIONS = frozenset({"help", "version"})  # it answers and ends


def listed(text: str, needed: Collection[str]) -> list[EngineOption]:
    """The options that its help lists; none for another text.

    `needed`: flags without which it is another's. A wrapper may print one of its own.
    """
    options = [one for one in read_help(text) if one.name not in _QUESTIONS]
    flags = {flag for option in options for flag in option.flags}
    return [*options, EXTRA_ARGS] if flags.issuperset(needed) else []


def canonical(
    options: Mapping[str, OptionValue | None], known: Vocabulary, taken: Taken
) -> dict[str, OptionValue | None]:
    """Give every option its one name. Raises InvalidOption."""
    found: dict[str, OptionValue | None] = {}
    for given, value in options.items():
        name, one = _canonical(given, value, known)
        taken.check_whole(given, known)
        if name in taken.ours:
            raise InvalidOption(f"engine option {given!r} is set by llamactl and can't be changed")
        if not _NAME.match(name):
            raise InvalidOption(
                f"{given!r} is not a valid engine option name: use letters, digits, '-' or '_'"
            )
        if name in found:
            raise InvalidOption(f"engine option {name!r} is given twice")
        found[name] = one
    return found


def _canonical(
    given: str, value: OptionValue | None, known: Vocabulary
) -> tuple[str, OptionValue | None]:
    option = known.named(given)
    if option is None:
        name = spelled(given)
        off = name.startswith("no_") and isinstance(value, bool)
        return (name.removeprefix("no_"), not value) if off else (name, value)
    if isinstance(value, bool):
        if option.kind != "switch":
            raise InvalidOption(
                f"cannot set the engine option {option.name!r} to {str(value).lower()}: it needs a "
                f"value ({option.kind}); give one, or null for the engine's default"
            )
        return option.name, value != option.is_off(known.flag_of(given))
    return option.name, value


def render(options: Mapping[str, OptionValue], known: Vocabulary, taken: Taken) -> list[str]:
    """Options to argv, additional arguments last. Raises InvalidOption."""
    words: list[str] = []
    for name, value in options.items():
        if name == EXTRA_ARGS.name:
            continue
        option = known.named(name)
        flag = _flag(name, option)
        if isinstance(value, bool):
            words += _switch(flag, option, on=value)
        elif isinstance(value, str | int | float):
            words += _with_value(name, flag, value)
        elif value:
            words += [flag, *(_checked(name, one) for one in value)]
    return words + _extra_args(options, known, taken)


def _flag(name: str, option: EngineOption | None) -> str:
    on = [f for f in option.flags if f.startswith("--") and f not in option.off] if option else []
    return on[0] if on else "--" + name.replace("_", "-")


def _switch(flag: str, option: EngineOption | None, *, on: bool) -> list[str]:
    """Nothing where the engine has no flag for it: leaving it out says the same."""
    if on:
        return [flag]
    if option is None:
        return ["--no-" + flag.removeprefix("--")]
    return [*option.off[:1]]


def _with_value(name: str, flag: str, value: Scalar) -> list[str]:
    text = _text(name, value)
    # what begins with a hyphen is a value only in the same word
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _checked(name: str, value: Scalar) -> str:
    text = _text(name, value)
    if isinstance(value, str) and text.startswith("-"):
        raise InvalidOption(
            f"cannot use the engine option {name!r}: one of its values begins with '-', which the "
            "engine would take for a flag; remove that value"
        )
    return text


def _text(name: str, value: Scalar) -> str:
    text = str(value)
    if "\0" in text:
        raise InvalidOption(f"engine option {name!r} contains a NUL character")
    return text


def _extra_args(options: Mapping[str, OptionValue], known: Vocabulary, taken: Taken) -> list[str]:
    words = extra_args(options)
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--"):
            taken.check_whole(flag, known)
        if word.startswith("-") and spelled(flag) in {*taken.ours, "port"}:
            raise InvalidOption(f"extra_args can't contain {flag!r}: llamactl sets it")
    return words
