"""Who may do what: constant-cost key look-up and the browser checks. Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from llamactl.core.errors import LlamactlError, StoreUnavailable, Unauthenticated
from llamactl.core.keys import ApiKey, Caller
from llamactl.policy.access.active_sessions import ActiveSessions

_KEY_UNKNOWN = "the API key is unknown, expired or revoked"
_SESSION_OVER = "the session has ended; sign in again"


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class KeyRing:
    """All keys in memory. A look-up costs one SHA-256, however many keys there are.

    `version` grows with each change: what was decided with another one holds no more.
    """

    def __init__(self, management: Iterable[str], keys: Iterable[ApiKey] = ()) -> None:
        self._management = {digest(token) for token in management}
        self._keys = {key.id: key for key in keys}
        self.sessions = ActiveSessions(self._removed)
        self._watchers: set[Callable[[], None]] = set()
        self.complete = True  # False while the store, which knows keys and sessions, was not read
        self.version = 0
        self.used: dict[str, int] = {}  # key id -> Unix seconds, since somebody last wrote it down
        self.on_key: Callable[[str], None] | None = None  # called with the id of one that changed

    def stranger(self, message: str) -> LlamactlError:
        """The error for who shows what we do not know."""
        if self.complete:
            return Unauthenticated(message)
        return StoreUnavailable(
            "keys can't be checked because the store has not been read yet; retry later"
        )

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def management(self) -> frozenset[bytes]:
        """The digests of the management keys."""
        return frozenset(self._management)

    def replace(self, management: Iterable[bytes], keys: Iterable[ApiKey]) -> None:
        """These are all. `management`: digests."""
        self._management = {*management}
        self._keys = {key.id: key for key in keys}
        self._removed()

    def touch(self, key_id: str, at: int) -> None:
        """It was used; nothing that was decided by it changes."""
        if (key := self._keys.get(key_id)) is not None:
            self._keys[key_id] = replace(key, last_used_at=at)

    def add(self, key: ApiKey) -> None:
        self._keys[key.id] = key
        self.version += 1
        if self.on_key is not None:
            self.on_key(key.id)

    def remove(self, key_id: str) -> ApiKey | None:
        removed = self._keys.pop(key_id, None)
        self._removed()
        if self.on_key is not None:
            self.on_key(key_id)
        return removed

    def get(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    def all(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    def watch(self, on_removal: Callable[[], None]) -> None:
        """Have it called after each removal, until `unwatch`."""
        self._watchers.add(on_removal)

    def unwatch(self, on_removal: Callable[[], None]) -> None:
        self._watchers.discard(on_removal)

    def _removed(self) -> None:
        self.version += 1
        for on_removal in [*self._watchers]:
            on_removal()

    def identify_session(self, value: str, now: float) -> Caller | None:
        """Who signed in with the cookie of this value; None if that, or its key, has ended."""
        found = self.sessions.by_digest.get(digest(value))
        if found is None or now >= found.expires_at:
            return None
        if found.key_id:
            caller = self._of_key(found.key_id, found.key_digest, now)
        else:
            caller = Caller(management=True) if found.key_digest in self._management else None
        return caller and replace(caller, session=found)

    def still_admits(self, caller: Caller, now: float) -> bool:
        """Is what this caller showed still good?"""
        if now >= self.expiry_of(caller):
            return False
        session, key = caller.session, caller.key
        if session is not None and self.sessions.by_digest.get(session.digest) != session:
            return False
        known = None if key is None else self._keys.get(key.id)
        return key is None or (known is not None and known.digest == key.digest)

    def check(self, caller: Caller, now: float) -> None:
        """Who was let in, and waited since, may have lost that. Raises what a new request gets."""
        if not self.still_admits(caller, now):
            session = caller.session is not None
            raise self.stranger(_SESSION_OVER if session else _KEY_UNKNOWN)

    @staticmethod
    def expiry_of(caller: Caller) -> float:
        """Unix seconds; infinite for what does not expire."""
        ends = [] if caller.session is None else [caller.session.expires_at]
        if caller.key is not None and caller.key.expires_at is not None:
            ends.append(caller.key.expires_at)
        return min(ends, default=math.inf)

    def identify(self, token: str, now: float) -> Caller | None:
        """Who shows this token at `now` (Unix seconds); None if nobody we know."""
        shown = digest(token)
        if shown in self._management:
            return Caller(management=True)
        return self._of_key(token.partition(".")[0], shown, now)

    def _of_key(self, key_id: str, shown: bytes, now: float) -> Caller | None:
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(key.digest, shown):
            return None
        if key.expires_at is not None and now >= key.expires_at:
            return None
        return Caller(management=False, key=key)


def token_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The key that is shown; b"" if none is."""
    header = headers.get(b"authorization", b"")
    scheme, _, token = header.partition(b" ")
    return token if scheme.lower() == b"bearer" and token else headers.get(b"x-api-key", b"")


def identify(headers: Mapping[bytes, bytes], ring: KeyRing, now: float) -> Caller:
    """Who sends these headers (names in lower case). Raises Unauthenticated."""
    token = token_of(headers)
    if not token:
        raise Unauthenticated('no API key; send it as "Authorization: Bearer <key>"')
    caller = ring.identify(token.strip().decode("utf-8", "surrogateescape"), now)
    if caller is None:
        raise ring.stranger(_KEY_UNKNOWN)
    return caller


@lru_cache(maxsize=1024)
def host_allowed(host: bytes, allowed: frozenset[str]) -> bool:
    """May a request name this Host? Guards against DNS rebinding.

    That attack needs a DNS name of the attacker's, so addresses, loopback names and
    configured names pass, every other name does not.
    """
    name = host_name(host.decode("latin-1"))
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in allowed:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def host_name(host: str) -> str | None:
    """The name in a Host header, lower case and without its port; None if it is malformed."""
    try:
        parts = urlsplit("//" + host)
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path or parts.query or parts.fragment or "@" in host:
        return None
    return name.rstrip(".").lower()


def origin_allowed(origin: str, scheme: str, host: str, allowed: frozenset[str]) -> bool:
    """May a page from this Origin call us? Its own origin and configured ones may."""
    if "*" in allowed or origin in allowed:
        return True
    return origin.lower() == f"{scheme}://{host}".lower()
