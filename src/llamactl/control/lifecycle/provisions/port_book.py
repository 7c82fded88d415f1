"""Which instance has which port of its node, whether it runs or not."""

from __future__ import annotations

from llamactl.core.errors import Conflict, InvalidOption
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.ports.node import PortChoice

_HIGHEST = 65535


def check_port(options: InstanceOptions, own: int) -> None:
    """`own`: llamactl's. Raises InvalidOption or Conflict."""
    port = options.backend_options.get("port")
    if port is None:
        return
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= _HIGHEST:
        raise InvalidOption(f"port must be a number from 1 to {_HIGHEST}, not {port!r}")
    if port == own:
        raise Conflict(f"port {port} is used by llamactl itself")


class PortBook:
    """One per node. A port that a definition names is taken from then on."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}  # by replica id

    def __repr__(self) -> str:
        return f"<PortBook {len(self._ports)} taken>"

    def check(self, instance: Instance) -> None:
        """Raises Conflict where its port is another's."""
        port = fixed_port(instance)
        owner = next((i for i, p in self._ports.items() if p == port), None)
        if port is not None and owner not in (None, instance.id):
            raise Conflict(f"port {port} is used by another instance")

    def reserve(self, instance: Instance) -> None:
        """Keep the port that its definition names from others."""
        if (port := fixed_port(instance)) is not None:
            self._ports[instance.id] = port

    def keep(self, replica_id: str, port: int) -> None:
        """It has this one."""
        self._ports[replica_id] = port

    def forget(self, replica_id: str) -> None:
        self._ports.pop(replica_id, None)

    def choice(
        self, instance: Instance, span: tuple[int, int], own: int, avoid: int | None
    ) -> PortChoice:
        """For its next process. `own`: llamactl's. `avoid`: one that it found taken."""
        taken = {p for i, p in self._ports.items() if i != instance.id}
        return PortChoice(
            *span,
            fixed=fixed_port(instance) if avoid is None else None,
            preferred=self._ports.get(instance.id),
            taken=frozenset({*taken, own, *([] if avoid is None else [avoid])}),
        )


def fixed_port(instance: Instance) -> int | None:
    port = instance.options.backend_options.get("port")
    return port if isinstance(port, int) else None
