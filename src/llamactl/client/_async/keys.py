"""Inference keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llamactl.client._async.transport import AsyncTransport
from llamactl.client.calls import (
    API,
    Call,
    path,
    read,
)
from llamactl.core.keys import PermissionMode
from llamactl.schemas.keys import KeyBody, NewKeyBody, PermissionsBody, RevokedBody


class AsyncKeys:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> Sequence[KeyBody]:
        return await self._transport.read(list[KeyBody], Call("GET", f"{API}/auth/keys"))

    async def get(self, key_id: str) -> KeyBody:
        return await self._transport.read(KeyBody, Call("GET", self._path(key_id)))

    async def create(
        self,
        name: str,
        *,
        instances: Iterable[str] | None = None,
        expires_at: int | None = None,
        priority: int = 0,
    ) -> NewKeyBody:
        """`instances`: those it may use; None: all. The secret is in the answer, this once."""
        mode = PermissionMode.ALLOW_ALL if instances is None else PermissionMode.PER_INSTANCE
        body = {
            "name": name,
            "permission_mode": mode,
            "instances": [*(instances or ())],
            "expires_at": expires_at,
            "priority": priority,
        }
        call = Call("POST", f"{API}/auth/keys", body=body)
        return await self._transport.read(NewKeyBody, call)

    async def revoke(self, key_id: str) -> RevokedBody:
        """Counts at once; the answer says whether the server's store has it already."""
        said = await self._transport.send(Call("DELETE", self._path(key_id)))
        if not said:
            return RevokedBody(id=key_id, persisted=True, survives_restart=True)
        return read(RevokedBody, said)

    async def permissions(self, key_id: str) -> PermissionsBody:
        call = Call("GET", self._path(key_id, "permissions"))
        return await self._transport.read(PermissionsBody, call)

    def _path(self, *parts: str) -> str:
        return f"{API}/auth/keys{path(*parts)}"
