"""Inference keys: made, listed, revoked; the ring in memory is what requests are checked by."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from llamactl.control.registry import Registry
from llamactl.core.errors import InvalidRequest, KeyNotFound, StoreUnavailable
from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.core.stores import KeyStore
from llamactl.observe import logger
from llamactl.policy.access import KeyRing, digest

_FLUSH_S = 5.0
log = logger("control")


class Keys:
    """The use cases of keys, and the batches of `last_used_at`."""

    def __init__(self, ring: KeyRing, store: KeyStore, registry: Registry) -> None:
        self._ring = ring
        self._store = store
        self._registry = registry

    async def load(self) -> None:
        for key in await self._store.load():
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
            raise InvalidRequest("expires_at lies in the past; give Unix seconds to come")
        if mode is PermissionMode.ALLOW_ALL and instances:
            raise InvalidRequest("instances are for permission_mode per_instance")
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
        key = self._ring.get(key_id)
        if key is None:
            raise KeyNotFound(f"there is no key with id {key_id[:80]!r}")
        return self._seen(key)

    def names(self, key: ApiKey) -> list[str]:
        """The instances that a key of mode per_instance may use."""
        return [m.instance.name for m in self._registry if m.instance.id in key.instance_ids]

    async def revoke(self, key_id: str) -> None:
        """Counts at once; raises KeyNotFound."""
        key = self.get(key_id)
        self._ring.remove(key_id)
        try:
            await self._store.remove(key_id)
        except StoreUnavailable:
            self._ring.add(key)  # said to have failed, so it must still hold
            raise

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
            if (key := self._ring.get(key_id)) is not None:
                self._ring.add(replace(key, last_used_at=at))
        try:
            await self._store.touch(batch)
        except StoreUnavailable as exc:
            log.warning("last_used_lost", reason=exc.message)

    def _seen(self, key: ApiKey) -> ApiKey:
        at = self._ring.used.get(key.id)
        return key if at is None else replace(key, last_used_at=at)
