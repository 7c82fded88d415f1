"""Contexts of conversations that are kept while their instances are stopped."""

from __future__ import annotations

from collections.abc import Sequence

from llamactl.client._sync.transport import Transport
from llamactl.client.calls import (
    API,
    Call,
)
from llamactl.schemas.contexts import ContextBody, RemovedContextsBody


class Contexts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, instance: str | None = None) -> Sequence[ContextBody]:
        """Of one instance, or all."""
        call = Call("GET", f"{API}/contexts", {"instance": instance})
        return self._transport.read(list[ContextBody], call)

    def remove(self, instance: str | None = None) -> int:
        """Of one instance, or all; how many there were."""
        call = Call("DELETE", f"{API}/contexts", {"instance": instance})
        return (self._transport.read(RemovedContextsBody, call)).removed
