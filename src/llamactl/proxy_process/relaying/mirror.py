"""What a proxy process knows of keys and instances, as the process that decides has said."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.keys import ApiKey
from llamactl.core.routes import Route, RouteTable
from llamactl.link.control_news import AllKnown, KeyAdded, KeysKnown, RouteChanged, RouteGone
from llamactl.link.control_news import RoutesKnown as Routes
from llamactl.link.messages import RevokedRight
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy_process.known_keys import key_of


class Mirror:
    """Changes are in force at once. The next process that decides says all again, which replaces
    what was known; but what an incomplete store knows replaces nothing.
    """

    def __init__(self, ring: KeyRing, publish: Callable[[RouteTable], None]) -> None:
        self.ring = ring
        self.table = RouteTable(complete=False)
        ring.complete = False
        self._publish = publish
        self._is_known = False  # all, once
        self.begin()

    def __repr__(self) -> str:
        return f"<Mirror of {len(self.table.routes)} routes, {len(self.ring)} keys>"

    def begin(self) -> None:
        """All will be said again."""
        self._management: set[bytes] = set()
        self._keys: list[ApiKey] = []
        self._routes: list[Route] = []

    def hear(
        self, said: KeysKnown | Routes | AllKnown | KeyAdded | RouteChanged | RouteGone
    ) -> None:
        match said:
            case KeysKnown():
                self._management |= {bytes.fromhex(one) for one in said.management}
                self._keys += map(key_of, said.keys)
            case Routes():
                self._routes += said.routes
            case AllKnown():
                self._take(said)
            case KeyAdded():
                self.ring.add(key_of(said.key))
            case RouteChanged():
                self._show(self.table.with_route(said.route))
            case RouteGone():
                self._show(self.table.without(said.name))

    def revoke(self, right: RevokedRight) -> None:
        if right.revoked == "key":
            self.ring.remove(bytes.fromhex(right.id).decode())

    def _take(self, said: AllKnown) -> None:
        if said.complete or not self._is_known:
            self._is_known = self.ring.complete = said.complete
            self.ring.replace(self._management, self._keys)
            table = RouteTable(complete=said.complete)
            for route in self._routes:
                table = table.with_route(route)
            self._show(table)
        self.begin()

    def _show(self, table: RouteTable) -> None:
        self.table = table
        self._publish(table)
