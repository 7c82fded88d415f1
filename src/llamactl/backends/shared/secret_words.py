"""Takes secrets out of an argv, where the engine reads the same from its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.core.secrets.masking import masked


def without_secrets(
    words: Sequence[str], variables: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The rest, and those secrets by variable.

    `variables`: by flag, where the engine reads the same from; what comes last counts.
    """
    given: list[tuple[Sequence[str], str, str]] = []  # words, variable or "", value
    at = 0
    while at < len(words):
        flag, equals, value = words[at].partition("=")
        variable = variables.get(flag, "")
        width = 2 if variable and not equals else 1
        own = words[at : at + width]
        given.append((own, variable, value if equals else own[-1]))
        at += width
    last = {variable: value for _, variable, value in given if variable}
    hidden = {v: value for v, value in last.items() if masked({v: value})[v] != value}
    kept = [word for own, variable, value in given
            if not variable or (variable not in hidden and value == last[variable])
            for word in own]  # fmt: skip
    return kept, hidden
