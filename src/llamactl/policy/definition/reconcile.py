"""What is there against what is wanted: a pure difference. Doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from llamactl.core.instance import InstanceOptions, name_key


@dataclass(frozen=True, slots=True)
class Changes:
    """Each by the instance's name."""

    create: Mapping[str, InstanceOptions] = field(default_factory=dict)
    update: Mapping[str, InstanceOptions] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def difference(
    now: Mapping[str, InstanceOptions],
    wanted: Mapping[str, InstanceOptions],
    *,
    may_go: Collection[str],
) -> Changes:
    """`may_go`: names of those that are deleted if they are wanted no more."""
    there = {name_key(name): name for name in now}
    known = {name: there[name_key(name)] for name in wanted if name_key(name) in there}
    kept = {name_key(name) for name in wanted}
    return Changes(
        create={name: options for name, options in wanted.items() if name not in known},
        update={known[n]: o for n, o in wanted.items() if n in known and now[known[n]] != o},
        delete=tuple(name for name in now if name in may_go and name_key(name) not in kept),
        unchanged=tuple(known[n] for n, o in wanted.items() if n in known and now[known[n]] == o),
    )
