"""API keys as values: who holds one may do what. The secret itself is never kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class PermissionMode(StrEnum):
    ALLOW_ALL = "allow_all"
    PER_INSTANCE = "per_instance"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An inference key. The token that a client shows is `id.secret`."""

    id: str
    name: str
    digest: bytes  # SHA-256 of the complete token: 256 random bits need no slow hash
    permission_mode: PermissionMode
    instance_ids: frozenset[str]
    created_at: int  # Unix seconds
    expires_at: int | None = None  # Unix seconds
    last_used_at: int | None = None  # Unix seconds
    priority: int = 0  # each step doubles its share of the places


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that somebody signed in with a key. It ends with that key."""

    digest: bytes  # SHA-256 of the cookie's value
    key_id: str  # "" for a management key
    key_digest: bytes
    expires_at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Revocation:
    """A right that was taken away: of a key by its id, of a session by its digest."""

    kind: Literal["key", "session"]
    id: bytes


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revocation counts at once; this says what remembers it."""

    persisted: bool  # in the store
    survives_restart: bool = True  # by the store, or by the file beside it


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `key` is None for a management key, and where no key is asked for."""

    management: bool
    key: ApiKey | None = None
    session: Session | None = None  # the one whose cookie was shown
    address: str = ""  # where the connection comes from; used for queueing

    def may_use(self, instance_id: str) -> bool:
        if self.key is None or self.key.permission_mode is PermissionMode.ALLOW_ALL:
            return True
        return instance_id in self.key.instance_ids


GUEST: Final = Caller(management=False)  # without a key, where inference asks for none
ANYONE: Final = Caller(management=True)  # where nothing asks for a key
