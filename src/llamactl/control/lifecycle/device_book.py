"""Devices that are out of service: nothing new is placed on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llamactl.backends.shared.devices import named_devices
from llamactl.core.errors import DeviceNotFound
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings

Ids = Mapping[str, str]  # by name, in the order in which engines number them


class DeviceBook:
    """Of all nodes, by their ids. A device is remembered by its id: its name is a number."""

    def __init__(self, ids: Callable[[str], Ids] = lambda _: {}) -> None:
        """`ids`: of the devices of a node, as far as it was seen."""
        self._ids = ids
        self.out: set[str] = set()  # `node/id`

    def __repr__(self) -> str:
        return f"<DeviceBook {sorted(self.out)} are out>"

    def entry(self, node: str, device: str) -> str:
        """For `out`; `device`: its name or id. Raises DeviceNotFound."""
        ids = self._ids(node)
        for name, one in ids.items():
            if device in (name, one):
                return f"{node}/{one}"
        if f"{node}/{device}" in self.out:  # it is not there any longer
            return f"{node}/{device}"
        known = f"its devices are {', '.join(ids)}" if ids else "no device is known there"
        raise DeviceNotFound(f"there is no device {device[:80]!r} on that node; {known}")

    def out_of(self, node: str) -> list[str]:
        """Names of those that are there, and out of service."""
        return [name for name, one in self._ids(node).items() if f"{node}/{one}" in self.out]

    def needed(self, node: str, options: InstanceOptions, engine: EngineSettings) -> list[str]:
        """Names of those out of service that the instance names, so that it can't start."""
        out, named = self._look(node, options, engine)
        return [name for at, name in out.items() if named is not None and at in named]

    def hidden(self, node: str, options: InstanceOptions, engine: EngineSettings) -> Ids:
        """Those out of service that its engine would take by itself."""
        out, named = self._look(node, options, engine)
        return {name: self._ids(node)[name] for name in out.values() if named is None}

    def _look(
        self, node: str, options: InstanceOptions, engine: EngineSettings
    ) -> tuple[dict[int, str], frozenset[int] | None]:
        """What is out, by number, and what the instance names."""
        if not (names := self.out_of(node)):
            return {}, None
        ids = self._ids(node)
        numbers = {at: name for at, name in enumerate(ids) if name in names}
        return numbers, named_devices(options, engine, [*ids.values()])
