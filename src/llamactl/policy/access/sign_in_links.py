"""Links that sign a browser in: each works once, soon, and on this machine only. Pure.

A reverse proxy on this machine makes all its clients look local. So a request must also name a
loopback host, and carry no header of a proxy.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llamactl.policy.access.rules import digest, host_name

LASTS_S = 60.0
MOST = 16  # links at a time; then the oldest one ends
_BY_PROXIES = (b"forwarded", b"via", b"x-real-ip")


@dataclass(frozen=True, slots=True)
class _Link:
    token: bytes  # its SHA-256
    key: bytes  # that of the management key
    ends: float


class SignInLinks:
    """One per application, in memory only."""

    def __init__(self, new_token: Callable[[], str], clock: Callable[[], float]) -> None:
        """`new_token`: a secret that nobody can guess. `clock`: seconds, going evenly."""
        self._new_token = new_token
        self._clock = clock
        self._links: list[_Link] = []  # the oldest first

    def __repr__(self) -> str:
        return f"<SignInLinks {len(self._links)}>"

    def issue(self, key: bytes) -> str:
        """The token of a new link. `key`: the digest of the management key that asks for it."""
        self._forget_expired()
        token = self._new_token()
        link = _Link(digest(token), key, self._clock() + LASTS_S)
        self._links = [*self._links[-(MOST - 1) :], link]
        return token

    def use(self, token: str) -> bytes | None:
        """The digest of the key that the link was made with; None if it is not valid."""
        self._forget_expired()
        shown = digest(token)
        found = [link for link in self._links if hmac.compare_digest(link.token, shown)]
        for link in found:
            self._links.remove(link)
        return found[0].key if found else None

    def _forget_expired(self) -> None:
        now = self._clock()
        self._links = [link for link in self._links if now < link.ends]


def is_from_here(address: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Does a program on this machine ask, directly? `address`: the peer's."""
    hosts, origins = [], []
    for name, value in headers:
        if name in _BY_PROXIES or name.startswith(b"x-forwarded-"):
            return False
        if name == b"host":
            hosts.append(host_name(value.decode("latin-1")))
        elif name == b"origin":
            origins.append(host_name(value.decode("latin-1").partition("://")[2]))
    return _is_loopback(address) and bool(hosts) and all(map(_is_loopback, (*hosts, *origins)))


def _is_loopback(name: str | None) -> bool:
    if not name:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        parsed = ipaddress.ip_address(name)
    except ValueError:
        return False
    return bool((getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback)
