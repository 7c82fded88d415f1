"""Which backends a definition can name, and how each names its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llamactl.core.errors import InvalidRequest, NotAvailable
from llamactl.core.instance import OptionValue

Canonical = Callable[[Mapping[str, OptionValue | None]], dict[str, OptionValue | None]]


@dataclass(frozen=True, slots=True)
class BackendRules:
    canonical: Mapping[str, Canonical]  # by `backend_type`
    default: str
    planned: frozenset[str] = frozenset()  # known, and not built

    def known(self, kind: str | None) -> str:
        """The backend that was asked for. Raises InvalidRequest or NotAvailable."""
        kind = kind or self.default
        if kind in self.canonical:
            return kind
        planned = kind in self.planned
        error: type[InvalidRequest | NotAvailable] = NotAvailable if planned else InvalidRequest
        reason = "is not available in this version" if planned else "is unknown"
        available = ", ".join(sorted(self.canonical))
        raise error(f"backend_type {kind!r} {reason}; available: {available}")
