"""The sessions of browsers that are signed in. Pure."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.keys import Session


class ActiveSessions:
    """All of them, in memory; those that expired until `forget_expired`."""

    def __init__(self, on_removal: Callable[[], None]) -> None:
        self.by_digest: dict[bytes, Session] = {}
        self._on_removal = on_removal

    def __repr__(self) -> str:
        return f"<ActiveSessions {len(self.by_digest)}>"

    def __contains__(self, session: Session) -> bool:
        return session.digest in self.by_digest

    def add(self, session: Session) -> None:
        self.by_digest[session.digest] = session

    def remove(self, digest: bytes) -> None:
        self.by_digest.pop(digest, None)
        self._on_removal()

    def of_key(self, key_digest: bytes) -> list[Session]:
        return [s for s in self.by_digest.values() if s.key_digest == key_digest]

    def forget_expired(self, now: float) -> list[bytes]:
        """The digests of those that are over by now."""
        over = [s.digest for s in self.by_digest.values() if now >= s.expires_at]
        for digest in over:
            del self.by_digest[digest]
        return over
