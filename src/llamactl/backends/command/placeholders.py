"""`${PORT}` and `${MODEL}` in what a program is given."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llamactl.core.errors import InvalidOption

PORT, MODEL = "PORT", "MODEL"
_PLACEHOLDER = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(text: str, values: Mapping[str, str], where: str) -> str:
    """`$${NAME}` becomes `${NAME}`, for the program to read. Raises InvalidOption."""

    def one(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return match[0][1:]
        if name not in (PORT, MODEL):
            raise InvalidOption(
                f"cannot fill in ${{{name}}} in {where}: only ${{PORT}} and ${{MODEL}} are known; "
                f"correct it, or write $${{{name}}} to pass ${{{name}}} on to the program"
            )
        if not values.get(name):
            raise InvalidOption(
                f"cannot fill in ${{{name}}} in {where}: the instance has no model; "
                "set the option 'model'"
            )
        return values[name]

    return _PLACEHOLDER.sub(one, text)


def names_port(text: str) -> bool:
    return any(not escaped and name == PORT for escaped, name in _PLACEHOLDER.findall(text))
