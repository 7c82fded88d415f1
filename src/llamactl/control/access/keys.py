"""Inference keys: made, listed, revoked; the ring in memory is what requests are checked by."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from llamactl.control.access.revocations import Revocations
from llamactl.control.lifecycle.registry import Registry
from llamactl.core.errors import InvalidRequest, KeyNotFound, StoreUnavailable
from llamactl.core.keys import ApiKey, PermissionMode, Revocation, Revoked
from llamactl.core.ports.stores import KeyStore
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing, digest

_FLUSH_S = 5.0
log = logger("control")


class Keys:
    """The use cases of keys, and the batches of `last_used_at`."""

    def __init__(
        self, ring: KeyRing, store: KeyStore, registry: Registry, revocations: Revocations
    ) -> None:
        self._ring = ring
        self._store = store
        self._registry = registry
        self._revocations = revocations
        self._revoked: dict[str, ApiKey] = {}  # some of them the store still has

    async def load(self) -> None:
        for key in await self._store.load():
            if _revocation(key.id) in self._revocations:
                self._revoked[key.id] = key
            else:
                self._ring.add(key)

    async def create(
        self,
        name: str,
        mode: PermissionMode,
        instances: Sequence[str],
        expires_at: int | None,
        *,
        priority: int = 0,
    ) -> tuple[ApiKey, str]:
        """Return the key and its token, which is not to be had again."""
        if expires_at is not None and expires_at <= time.time():
            raise InvalidRequest("expires_at is in the past; use a future time in Unix seconds")
        if mode is PermissionMode.ALLOW_ALL and instances:
            raise InvalidRequest("instances is only valid with permission_mode per_instance")
        ids = frozenset(self._registry.get(n).instance.id for n in instances)
        key_id = f"llamactl-{secrets.token_hex(6)}"
        token = f"{key_id}.{secrets.token_urlsafe(32)}"
        key = ApiKey(
            key_id, name, digest(token), mode, ids, int(time.time()), expires_at,
            priority=priority,
        )  # fmt: skip
        await self._store.add(key)
        self._ring.add(key)
        return key, token

    def all(self) -> list[ApiKey]:
        return [self._seen(key) for key in self._ring.all()]

    def get(self, key_id: str) -> ApiKey:
        """Also one that is revoked, while the store still has it. Raises KeyNotFound."""
        key = self._ring.get(key_id)
        if key is None and self.is_revoked(key_id):
            key = self._revoked.get(key_id)
        if key is None:
            raise KeyNotFound(f"there is no key with ID {key_id[:80]!r}")
        return self._seen(key)

    def is_revoked(self, key_id: str) -> bool:
        """And the store does not have that yet."""
        return _revocation(key_id) in self._revocations

    def names(self, key: ApiKey) -> list[str]:
        """The instances that a key of mode per_instance may use."""
        return [m.instance.name for m in self._registry if m.instance.id in key.instance_ids]

    async def revoke(self, key_id: str) -> Revoked:
        """Counts at once, also where the store is away. Raises KeyNotFound."""
        if not self.is_revoked(key_id):
            self._revoked = {k: v for k, v in self._revoked.items() if self.is_revoked(k)}
            self._revoked[key_id] = self.get(key_id)
        return await self._revocations.add(_revocation(key_id))

    async def keep_flushing(self) -> None:
        """Write `last_used_at` in batches, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        if not self._ring.used:
            return
        batch, self._ring.used = self._ring.used, {}
        for key_id, at in batch.items():
            self._ring.touch(key_id, at)
        try:
            await self._store.touch(batch)
        except StoreUnavailable as exc:
            log.warning("last_used_lost", reason=exc.message)

    def _seen(self, key: ApiKey) -> ApiKey:
        at = self._ring.used.get(key.id)
        return key if at is None else replace(key, last_used_at=at)


def _revocation(key_id: str) -> Revocation:
    return Revocation("key", key_id.encode())
