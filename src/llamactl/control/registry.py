"""All instances of this machine, by name and id, and the routes drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llamactl.core.errors import InstanceNotFound
from llamactl.core.instance import Instance, name_key
from llamactl.core.interfaces import Unit
from llamactl.core.routes import Route, RouteTable


@dataclass(slots=True)
class Member:
    """One instance: its definition, and the unit that runs it."""

    instance: Instance
    unit: Unit


class Registry:
    """The only holder of the members. `publish` hands the data path a new table."""

    def __init__(self, publish: Callable[[RouteTable], None]) -> None:
        self._publish = publish
        self._members: dict[str, Member] = {}
        self._names: set[str] = set()  # taken, those being made or deleted included
        self._table = RouteTable()

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Member]:
        return iter(sorted(self._members.values(), key=lambda m: name_key(m.instance.name)))

    def reserve(self, name: str) -> bool:
        """Take a name; False if it is taken."""
        key = name_key(name)
        if key in self._names:
            return False
        self._names.add(key)
        return True

    def free(self, name: str) -> None:
        self._names.discard(name_key(name))

    def add(self, member: Member) -> None:
        self._names.add(name_key(member.instance.name))
        self._members[name_key(member.instance.name)] = member
        self.refresh(member)

    def hide(self, name: str) -> None:
        """Let nobody find it any more; its name stays taken until `free`."""
        self._members.pop(name_key(name), None)
        self._table = self._table.without(name)
        self._publish(self._table)

    def get(self, name: str) -> Member:
        """Raises InstanceNotFound."""
        member = self._members.get(name_key(name))
        if member is None:
            raise InstanceNotFound(f"there is no instance named {name[:140]!r}")
        return member

    def refresh(self, member: Member) -> None:
        """Publish where the member answers now."""
        instance = member.instance
        if self._members.get(name_key(instance.name)) is not member:
            return
        route = Route(
            instance.id,
            instance.name,
            instance.created,
            instance.options.backend_type,
            member.unit.ready,
        )
        self._table = self._table.with_route(route)
        self._publish(self._table)
