"""Refuses foreign web pages: with auth off, any page could otherwise start commands.

A page of another port of this machine is foreign too. Browsers call it "same-site", since sites
know no ports: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
"""

from __future__ import annotations

from llamactl.core.errors import HostNotAllowed, OriginNotAllowed
from llamactl.policy.access.rules import host_allowed, origin_allowed
from llamactl.proxy.http.heads import RequestHead

_OURS = (b"same-origin", b"none")  # none: typed, or from a bookmark


def check_hosts(head: RequestHead, allowed: frozenset[str]) -> None:
    """Raises HostNotAllowed."""
    for host in head.hosts:
        if not host_allowed(host, allowed):
            raise HostNotAllowed(
                f"the host name {host[:200].decode('latin-1')!r} is not allowed; use a loopback "
                "name or an address, add the name to server.allowed_hosts, or send a key"
            )


def check_origin(head: RequestHead, allowed: frozenset[str], *, for_engine: bool) -> None:
    """By what a browser says of the page that a request comes from. Raises OriginNotAllowed."""
    fields = head.fields
    if b"origin" in fields:
        origin, host = (fields.get(n, b"").decode("latin-1") for n in (b"origin", b"host"))
        if not origin_allowed(origin, "http", host, allowed):
            raise OriginNotAllowed(
                f"pages from {origin[:200]!r} may not call this server; "
                "add the origin to server.allowed_origins"
            )
    elif b"sec-fetch-site" in fields and fields[b"sec-fetch-site"] not in _OURS:
        navigates = fields.get(b"sec-fetch-mode") == b"navigate"
        reads = head.method in (b"GET", b"HEAD")
        if for_engine or not (navigates and reads):  # else a link led to our page
            raise OriginNotAllowed("pages from another site or port may not call this server")
