"""Reads a definition by the backend that it is for."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.backends.contract import Options
from llamactl.backends.registry import BACKENDS, DEFAULT
from llamactl.core.instance import Container, InstanceOptions
from llamactl.policy.definition.backend_rules import Asked, BackendRules
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from llamactl.policy.definition.reading import Patch, read_patch

_RULES = BackendRules(
    {name: backend.canonical for name, backend in BACKENDS.items()},
    default=DEFAULT.name,
)


def read_definition(
    body: object, now: str = "", *, had: Options | None = None, known: Vocabulary = UNREAD,
    allow_unknown: bool = False,
) -> Patch:  # fmt: skip
    """What a body says of an instance; `now`: the backend that it has, "" if it is new.

    `had`: the engine options that it has; `known`: those of its engine, by that engine's help.
    Raises InvalidRequest or InvalidOption.
    """
    return read_patch(body, _RULES, Asked(now, had or {}, known, allow_unknown))


def engine_asked(body: object, now: InstanceOptions) -> InstanceOptions:
    """The engine that a body is for, as far as can be known: its backend, its own program, and
    whether it runs in a container."""
    given = body if isinstance(body, Mapping) else {}
    kind = given.get("backend_type", now.backend_type) or DEFAULT.name
    program = given.get("command_override", now.command_override)
    enabled = given.get("docker_enabled", now.docker_enabled)
    container = given.get("container", now.container)
    known = isinstance(kind, str) and kind in BACKENDS
    return InstanceOptions(
        backend_type=kind if known else "",
        command_override=program if isinstance(program, str) else "",
        docker_enabled=enabled if isinstance(enabled, bool) else None,
        container=Container() if container else None,
    )
