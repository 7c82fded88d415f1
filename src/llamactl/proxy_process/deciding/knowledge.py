"""What the process that decides knows, and all proxy processes need to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from llamactl.core.instance import name_key
from llamactl.core.ports.context_use import ContextUse
from llamactl.core.routes import RouteTable
from llamactl.link.control_news import (
    AllKnown,
    KeyAdded,
    KeysKnown,
    LiveSettings,
    ProofOver,
    ProofWanted,
    RouteChanged,
    RouteGone,
    RoutesKnown,
)
from llamactl.link.messages import Message, RevokedRight, RightChanged
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy_process.known_keys import message_of

_KEYS, _ROUTES = 500, 100  # in a message: reading one takes a millisecond or so
T = TypeVar("T")


class Knowledge:
    """All of it for who is new; for the others, each change as it happens."""

    def __init__(
        self, ring: KeyRing, contexts: ContextUse, send: Callable[[Message], None],
        inform_all: Callable[[], None], *, hides_cached: bool,
    ) -> None:  # fmt: skip
        """`inform_all`: say all again to all of them."""
        self._ring = ring
        self._contexts = contexts
        self._send = send
        self._inform_all = inform_all
        self._table = RouteTable()
        self._hides_cached = hides_cached
        ring.on_key = self._key
        contexts.on_proof = self._proof

    def __repr__(self) -> str:
        return f"<Knowledge of {len(self._table.routes)} routes, {len(self._ring)} keys>"

    def all(self) -> Iterator[Message]:
        management = sorted(one.hex() for one in self._ring.management)
        keys = self._ring.all()
        for part in _parts(keys, _KEYS) or [[]]:
            yield KeysKnown(management=management, keys=[*map(message_of, part)])
        for routes in _parts(self._table.known(), _ROUTES):
            yield RoutesKnown(routes=routes)
        yield AllKnown(complete=self._ring.complete and self._table.complete)
        yield LiveSettings(hide_cached_tokens=self._hides_cached)
        for instance_id in self._contexts.proofs:
            yield ProofWanted(instance=instance_id)

    def publish(self, table: RouteTable) -> None:
        before, self._table = self._table, table
        if before.complete is not table.complete:
            self._inform_all()
            return
        for route in table.known():
            if before.routes.get(name_key(route.name)) is not route:
                self._send(RouteChanged(route=route))
        for route in before.known():
            if name_key(route.name) not in table.routes:
                self._send(RouteGone(name=route.name))

    def hide_cached(self, *, hide: bool) -> None:
        self._hides_cached = hide
        self._send(LiveSettings(hide_cached_tokens=hide))

    def _key(self, key_id: str) -> None:
        key = self._ring.get(key_id)
        if key is not None:
            self._send(KeyAdded(key=message_of(key)))
        else:
            gone = RevokedRight(revoked="key", id=key_id.encode().hex())
            self._send(RightChanged(right=gone))

    def _proof(self, instance_id: str) -> None:
        wanted = instance_id in self._contexts.proofs
        said = ProofWanted(instance=instance_id) if wanted else ProofOver(instance=instance_id)
        self._send(said)


def _parts(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[i : i + size] for i in range(0, len(values), size)]
