"""Additional arguments of an instance, which its engine gets as they are."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.engine_help import EngineOption

EXTRA_ARGS = EngineOption(
    "extra_args", (), "list", (), "", "additional arguments, passed to the engine as they are", ""
)


def extra_args(options: Mapping[str, OptionValue]) -> list[str]:
    """Raises InvalidOption."""
    given = options.get(EXTRA_ARGS.name, ())
    if isinstance(given, str | int | float) or not all(isinstance(one, str) for one in given):
        raise InvalidOption("extra_args must be a list of strings")
    words = [str(word) for word in given]
    if any("\0" in word for word in words):
        raise InvalidOption("extra_args contains a NUL character")
    return words
