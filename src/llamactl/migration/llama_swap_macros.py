"""llama-swap's macros: `${name}` in its values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llamactl.core.errors import InvalidRequest
from llamactl.migration.report import Migrated
from llamactl.migration.source import shown

_MACRO = re.compile(r"\$\{([A-Za-z0-9_.-]{1,200})\}")
_DEEPEST = 10  # macros within macros
_MOST = 1 << 16  # characters
PORT = "PORT"
_LATE = (PORT, "PID")  # known once it runs


class Macros:
    def __init__(self, environ: Mapping[str, str], known: Mapping[str, Any] | None = None) -> None:
        self.environ = environ
        self._known = dict(known or {})

    def within(self, model_id: str) -> Macros:
        """For one model, which may define its own."""
        return Macros(self.environ, {**self._known, "MODEL_ID": model_id})

    def define(self, given: object, at: str, found: Migrated) -> None:
        if isinstance(given, Mapping):
            for name, value in given.items():
                self._known[name] = value
                found.carried(f"{at}.{name}", "expanded where it is used")
        elif given:
            found.left_out(at, f"{shown(given)} is not a mapping")

    def fill(self, text: str) -> str:
        """Raises InvalidRequest for a macro that is not defined, or without an end."""
        for _ in range(_DEEPEST):
            filled = self._once(text)
            if filled == text:
                return text
            text = filled
        raise InvalidRequest("its macros refer to each other in a cycle")

    def _once(self, text: str) -> str:
        parts, size, at = list[str](), 0, 0
        for match in _MACRO.finditer(text):
            if match[1] in _LATE:
                continue
            parts += [text[at : match.start()], self._value(match[1])]
            at = match.end()
            size += len(parts[-1]) + len(parts[-2])
            if size > _MOST:
                raise InvalidRequest("its macros make it too long")
        return "".join([*parts, text[at:]])

    def _value(self, name: str) -> str:
        if name.startswith("env.") and (value := self.environ.get(name[4:])) is not None:
            return value
        if name not in self._known:
            raise InvalidRequest(f"the macro ${{{name}}} is not defined")
        value = self._known[name]
        return str(value).lower() if isinstance(value, bool) else str(value).strip()

    def fill_in(self, tree: Any) -> Any:
        """All texts in it; one that is nothing but a macro takes that macro's type."""
        if isinstance(tree, Mapping):
            return {self.fill(key): self.fill_in(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.fill_in(value) for value in tree]
        if not isinstance(tree, str):
            return tree
        only = _MACRO.fullmatch(tree)
        value = self._known.get(only[1]) if only else None
        return value if isinstance(value, bool | int | float) else self.fill(tree)
