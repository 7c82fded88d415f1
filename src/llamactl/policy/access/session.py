"""A browser's session: the cookie that represents a key, and where it is valid. Pure.

Ports don't count for cookies (https://www.rfc-editor.org/rfc/rfc6265#section-8.5) or SameSite, so
neither protects against pages that other programs on this machine serve. So the cookie's name
contains our port, and the headers that say which page sent a request must name ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from llamactl.core.keys import Caller
from llamactl.policy.access.rules import KeyRing, identify, token_of

_SAFE = ("GET", "HEAD")
_OUR_PAGE = (b"same-origin", b"none")  # none: typed, or from a bookmark


def cookie_name(host: str) -> str:
    """Of the server at this Host."""
    try:
        port = urlsplit("//" + host).port
    except ValueError:
        port = None
    return f"llamactl_session_{port}" if port else "llamactl_session"


def session_of(method: str, headers: Mapping[bytes, bytes]) -> str:
    """The cookie's value, if our own page sends it; "" if not."""
    if b"cookie" not in headers or not _is_from_our_page(method, headers):
        return ""
    name, value = cookie_name(_host(headers)).encode("latin-1"), b""
    for pair in headers[b"cookie"].split(b";"):  # ours needs no quotes
        given, _, found = pair.strip().partition(b"=")
        if given == name:
            value = found
    return value.decode("latin-1")


def identify_user(method: str, headers: Mapping[bytes, bytes], ring: KeyRing, now: float) -> Caller:
    """As `identify`; a session counts where no key is shown. Raises Unauthenticated."""
    if token_of(headers):
        return identify(headers, ring, now)
    session = session_of(method, headers)
    if session:
        caller = ring.identify_session(session, now)
        if caller is not None:
            return caller
        raise ring.stranger("the session has ended; sign in again")
    return identify(headers, ring, now)


def _is_from_our_page(method: str, headers: Mapping[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != _host(headers):
        return False
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in _OUR_PAGE if method in _SAFE else site == b"same-origin"
    return origin is not None or method in _SAFE  # an older browser


def _host(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(b"host", b"").decode("latin-1")
