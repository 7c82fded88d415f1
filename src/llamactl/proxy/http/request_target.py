"""What a request's first line asks for: a path and a query, or a full address (RFC 9112, 3.2)."""

from __future__ import annotations

import re

import httptools

from llamactl.core.errors import HeaderTooLarge, InvalidRequest

_LONGEST_PATH = _LONGEST_QUERY = 8192  # bytes
_USER = re.compile(rb"[^/?#]*//[^/?#]*@")
_PATH_KEYS = re.compile(rb"/(?:k|%6[bB])/+[^/]*")  # wherever they are


def check_lengths(path: bytes, query: bytes) -> None:
    """Of what costs more to read than its length. Raises HeaderTooLarge."""
    if len(path) > _LONGEST_PATH:
        raise HeaderTooLarge(f"the path is longer than {_LONGEST_PATH} bytes")
    if len(query) > _LONGEST_QUERY:
        raise HeaderTooLarge(f"the query is longer than {_LONGEST_QUERY} bytes")


def of_absolute_form(target: bytes) -> tuple[bytes, bytes, bytes]:
    """Authority, path and query of a target that is not just a path; b"" for no authority."""
    if target == b"*":
        return b"", b"*", b""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as exc:
        shown = _PATH_KEYS.sub(b"/k/***", target)[:100]
        raise InvalidRequest(f"the request target {shown!r} is not a path") from exc
    if _USER.match(target):
        raise InvalidRequest("the request target contains a user name; send the key in a header")
    if url.schema is not None and url.schema.lower() not in (b"http", b"https"):
        shown = _PATH_KEYS.sub(b"/k/***", target)[:100]
        raise InvalidRequest(f"the request target {shown!r} is not an http address")
    host = b"[%b]" % url.host if b":" in (url.host or b"") else url.host or b""
    authority = b"%b:%d" % (host, url.port) if url.port is not None else host
    return authority, url.path or b"/", url.query or b""
