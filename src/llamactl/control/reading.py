"""What a body makes of an instance's options, by the engine that they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llamactl.backends import read_definition
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.core.errors import UnknownOption
from llamactl.core.instance import Instance, InstanceOptions, OptionValue
from llamactl.policy.definition.engine_help import UNREAD
from llamactl.policy.definition.reading import Patch, merge

Change = Callable[[InstanceOptions], InstanceOptions]
Had = Mapping[str, OptionValue]
Read = Callable[[str, Had], Patch]


async def change_of(
    nodes: Nodes, body: object, now: InstanceOptions, *, allow_unknown: bool = False
) -> Change:
    """`now`: the options as they are. Raises InvalidRequest and its kin, as does the change."""
    read = await reader(nodes, body, now, allow_unknown=allow_unknown)
    return lambda now: merge(now, read(now.backend_type, now.backend_options))


async def reader(
    nodes: Nodes, body: object, now: InstanceOptions, *, allow_unknown: bool,
    source: str = "",
) -> Read:  # fmt: skip
    """Reads the body for an instance of a backend that has these engine options.

    Raises what reading it for one with the options `now` would raise.
    """
    # a declared file means the same whether or not the engine answers, and nothing waits for that
    known = UNREAD if source else await nodes.local.vocabulary(body, now)

    def read(kind: str, had: Had, lax: bool = allow_unknown) -> Patch:
        return read_definition(body, kind, had=had, known=known, allow_unknown=lax)

    try:
        read(now.backend_type, now.backend_options)
    except UnknownOption:  # what is forbidden too is forbidden first
        asked = merge(InstanceOptions(now.backend_type), read(now.backend_type, {}, lax=True))
        await nodes.permitted(Instance("", "", 0, asked, source=source))
        raise
    return read
