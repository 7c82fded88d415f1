"""Reads a definition by the backend that it is for."""

from __future__ import annotations

from llamactl.backends.planned import PLANNED
from llamactl.backends.registry import BACKENDS, DEFAULT
from llamactl.policy.definition.backend_rules import BackendRules
from llamactl.policy.definition.reading import Patch, read_patch

_RULES = BackendRules(
    {name: backend.canonical for name, backend in BACKENDS.items()},
    default=DEFAULT.name,
    planned=frozenset(kind.type for kind in PLANNED),
)


def read_definition(body: object, now: str = "") -> Patch:
    """What a body says of an instance; `now`: the backend that it has, "" if it is new.

    Raises InvalidRequest, InvalidOption or NotAvailable.
    """
    return read_patch(body, _RULES, now)
