"""Inference keys as messages have them."""

from __future__ import annotations

from llamactl.core.keys import ApiKey
from llamactl.link.control_news import KnownKey


def message_of(key: ApiKey) -> KnownKey:
    return KnownKey(
        id=key.id, name=key.name, digest=key.digest.hex(), permission_mode=key.permission_mode,
        instance_ids=key.instance_ids, created_at=key.created_at, expires_at=key.expires_at,
        priority=key.priority,
    )  # fmt: skip


def key_of(known: KnownKey) -> ApiKey:
    return ApiKey(
        known.id, known.name, bytes.fromhex(known.digest), known.permission_mode,
        known.instance_ids, known.created_at, known.expires_at, priority=known.priority,
    )  # fmt: skip
