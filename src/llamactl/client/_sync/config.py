"""Settings, and sets of instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamactl.client._sync.transport import Transport
from llamactl.client.calls import (
    API,
    Call,
)
from llamactl.schemas.config import ChangesBody, ReloadBody, SetBody, SettingBody


class Config:
    """Settings, and sets of instances."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def reload(self, *, dry_run: bool = False) -> ReloadBody:
        """Read the settings and the declared instances again; only what changed restarts."""
        call = Call("POST", f"{API}/config/reload", {"dry_run": dry_run}, again=True)
        return self._transport.read(ReloadBody, call)

    def settings(self) -> Sequence[SettingBody]:
        """List the effective settings and their sources."""
        call = Call("GET", f"{API}/config/settings")
        return self._transport.read(list[SettingBody], call)

    def export(self, *, secrets: bool = False) -> dict[str, dict[str, Any]]:
        """All definitions, by name."""
        call = Call("GET", f"{API}/config/instances", {"secrets": secrets})
        return (self._transport.read(SetBody, call)).instances

    def apply(
        self,
        instances: Mapping[str, Mapping[str, Any]],
        *,
        prune: bool = False,
        dry_run: bool = False,
        allow_unknown: bool = False,
    ) -> ChangesBody:
        """Make the set so. `prune`: delete what is not in it."""
        query = {"prune": prune, "dry_run": dry_run, "allow_unknown": allow_unknown or None}
        call = Call("PUT", f"{API}/config/instances", query, {"instances": instances})
        return self._transport.read(ChangesBody, call)
