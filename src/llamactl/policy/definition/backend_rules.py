"""Which backends a definition can name, how each names its options, what the engine has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

Canonical = Callable[[Mapping[str, OptionValue | None], Vocabulary], dict[str, OptionValue | None]]


@dataclass(frozen=True, slots=True)
class BackendRules:
    canonical: Mapping[str, Canonical]  # by `backend_type`
    default: str

    def known(self, kind: str | None) -> str:
        """The backend that was asked for. Raises InvalidRequest."""
        kind = kind or self.default
        if kind in self.canonical:
            return kind
        available = ", ".join(sorted(self.canonical))
        raise InvalidRequest(f"backend_type {kind!r} is unknown; available: {available}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body is checked against besides itself."""

    now: str = ""  # the backend of the instance; "" if it is new
    had: Mapping[str, OptionValue] = field(default_factory=dict)  # its engine options
    known: Vocabulary = UNREAD  # the engine's; empty: it can't be asked
    allow_unknown: bool = False


def renamed(canonical: Canonical, known: Vocabulary, name: str) -> str:
    """What the rules call an option of a stored definition."""
    try:
        return next(iter(canonical({name: None}, known)))
    except InvalidOption:  # it was valid once
        return name
