"""The heads of requests and answers: what they say, and what of them passes to the other side.

Heads repeat: a client sends the same bytes again and again, but for the length of its body, and
so does an engine. Each distinct head is parsed once, by httptools, and the lines of it that pass
are put together once (docs/decisions/0005). What a head says is shared and never changed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

import httptools

from llamactl.core.errors import HeaderTooLarge, InvalidRequest
from llamactl.proxy.http.request_target import check_lengths, of_absolute_form

Headers = list[tuple[bytes, bytes]]
STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
# RFC 9110, 7.6.1, and what must not reach the engine or come back from it.
_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
_NOT_SENT: Final = _HOP | {b"host", b"authorization", b"x-api-key", b"content-length", b"expect",
                    b"cookie", b"origin", b"x-forwarded-for", b"x-forwarded-host",
                    b"x-forwarded-proto", b"x-request-id"}  # fmt: skip
_NOT_ANSWERED: Final = _HOP | {b"content-length", b"set-cookie", b"x-request-id"}
_LENGTH: Final = b"\r\nContent-Length: "
_LOWER_LENGTH: Final = b"\r\ncontent-length: "
_MOST_DIGITS: Final = 15
_LONGEST_KEPT: Final = 4096  # bytes of a head
KEPT: Final = 512  # heads of each kind
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}\Z")
_KEEP_ALIVE: Final = re.compile(rb"timeout=(\d+)")
_IDLE_S: Final = 4.0  # engines close idle connections after 5 s (cpp-httplib's default)
_BAD: Final = 400  # status, and above
_BODILESS: Final = (204, 304)  # RFC 9110, 15.3.5 and 15.4.5
# who asks, from where, and in which form: two of these could be read in two ways
_SINGLE: Final = frozenset(
    b"host authorization x-api-key origin content-type sec-fetch-site sec-fetch-mode "
    b"sec-fetch-dest sec-websocket-key sec-websocket-version".split()
)
# RFC 3986, 3.2.2 and 3.2.3
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::\d*)?\Z")
_MOST_LINES: Final = 256
_LONGEST_HOST, _LONGEST_CONNECTION = 300, 1024  # bytes
# an inference key before the path, for programs that can send no header
_PATH_KEY: Final = re.compile(rb"/+(?:k|%6[bB])/+([^/]*)(/.*|)\Z", re.DOTALL)
_CREDENTIALS: Final = (b"authorization", b"x-api-key", b"cookie")


class RequestHead:
    """What the head of a request says. The length of a body is not in it, nor in `headers`."""

    def __init__(self, head: bytes) -> None:
        """`head` ends with an empty line. Raises InvalidRequest or HeaderTooLarge."""
        if head.count(b"\n") > _MOST_LINES:
            raise HeaderTooLarge(f"more than {_MOST_LINES} headers")
        try:
            parsed = _Parsed(httptools.HttpRequestParser, head)
        except httptools.HttpParserError as exc:
            raise InvalidRequest(f"malformed HTTP request: {exc}") from exc
        self.method = parsed.method
        if parsed.version not in ("1.0", "1.1"):
            raise InvalidRequest(f"HTTP/{parsed.version} is not supported; use HTTP/1.1")
        self.http_1_0 = parsed.version == "1.0"
        self.keep_alive = parsed.keep_alive and not self.http_1_0
        self.fields = fields = dict(parsed.headers)
        self.chunked = b"transfer-encoding" in fields
        self.sized = b"content-length" in fields
        self.has_body = self.sized or self.chunked
        if self.chunked and (parsed.codings != [b"chunked"] or self.http_1_0):
            raise InvalidRequest("the only supported Transfer-Encoding is chunked")
        self.length = int(fields.pop(b"content-length", 0))
        self.headers = [header for header in parsed.headers if header[0] != b"content-length"]
        self.websocket = parsed.upgrade and fields.get(b"upgrade", b"").lower() == b"websocket"
        _check_single(parsed.headers)
        raw, _, self.query = parsed.target.partition(b"?")
        # every name given to us
        self.hosts: tuple[bytes, ...] = (fields[b"host"],) if b"host" in fields else ()
        if raw[:1] != b"/" or b"#" in parsed.target:
            authority, raw, self.query = of_absolute_form(parsed.target)
            if authority:
                self._replace_host(authority)
        self._check_hosts()
        check_lengths(raw, self.query)
        self.has_path_key = False
        if found := _PATH_KEY.match(raw):
            raw = found[2] or b"/"
            self._take_path_key(found[1], raw)
        self.raw_path = raw
        self.path = unquote(raw.decode("latin-1")) if b"%" in raw else raw.decode("latin-1")
        self.request_id = _request_id(fields.get(b"x-request-id", b""))
        self.passed = self._passed()
        self.is_kept = False  # and found again for the next request with the same head

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode()} {self.path}>"

    def _check_hosts(self) -> None:
        if not self.hosts and not self.http_1_0:
            raise InvalidRequest("the request has no Host header; HTTP/1.1 needs one")
        if not all(len(host) <= _LONGEST_HOST and _HOST.match(host) for host in self.hosts):
            raise InvalidRequest("the Host header is malformed; send a host name or an address")

    def _replace_host(self, authority: bytes) -> None:
        """The target's authority counts, not the Host header: RFC 9112, 3.2.2."""
        self.hosts = (*self.hosts, authority)
        self.fields[b"host"] = authority
        others = [header for header in self.headers if header[0] != b"host"]
        self.headers = [(b"host", authority), *others]

    def _take_path_key(self, key: bytes, rest: bytes) -> None:
        """As if it came in a header; from now on the path is shown without it.

        Clients that only know an address send a made-up key, or none.
        """
        if _PATH_KEY.match(rest):
            raise InvalidRequest("the path contains more than one key; send one")
        shown = (b"authorization", b"Bearer " + unquote_to_bytes(key))
        self.has_path_key = True
        self.headers = [header for header in self.headers if header[0] not in _CREDENTIALS]
        self.headers.append(shown)
        self.fields = {k: v for k, v in self.fields.items() if k not in _CREDENTIALS}
        self.fields[shown[0]] = shown[1]

    def _passed(self) -> bytes:
        """The lines that an engine sees, neither the client's key nor its cookies among them.

        Raises HeaderTooLarge.
        """
        connection = self.fields.get(b"connection", b"")
        if len(connection) > _LONGEST_CONNECTION:
            raise HeaderTooLarge(
                f"the Connection header is longer than {_LONGEST_CONNECTION} bytes"
            )
        named = _named(connection)
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, value in self.headers
            if name not in _NOT_SENT and name not in named
        ]
        host = self.fields.get(b"host", b"")
        return b"".join([*lines, b"x-forwarded-host: %b\r\nx-request-id: " % host])


class ResponseHead:
    """What the head of an engine's answer says. The length of a body is not in it."""

    def __init__(self, head: bytes) -> None:
        """`head` ends with an empty line. Raises httptools.HttpParserError."""
        if head.count(b"\n") > _MOST_LINES:
            raise httptools.HttpParserError(f"more than {_MOST_LINES} headers")
        parsed = _Parsed(httptools.HttpResponseParser, head)
        fields = dict(parsed.headers)
        self.status = parsed.status
        self.keep_alive = parsed.keep_alive
        self.sized = b"content-length" in fields
        self.length = int(fields.get(b"content-length", 0))
        self.chunked = b"transfer-encoding" in fields
        if self.chunked and parsed.codings != [b"chunked"]:
            raise httptools.HttpParserError("a transfer coding other than chunked")
        self.bodiless = self.status in _BODILESS
        media = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self.event_stream = media == b"text/event-stream"
        self.json = media == b"application/json" or media.endswith(b"+json")
        self.encoded = b"content-encoding" in fields
        self.changeable = (self.json or self.event_stream) and not self.encoded
        self.refuses = self.json and not self.encoded and self.status >= _BAD
        self.idle_s = _idle_s(fields.get(b"keep-alive", b""))
        connection = fields.get(b"connection", b"")
        if len(connection) > _LONGEST_CONNECTION:
            raise httptools.HttpParserError("the Connection header is too long")
        named = _named(connection)
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, value in parsed.headers
            if name not in _NOT_ANSWERED and name not in named
            and not name.startswith(b"access-control-")  # CORS is ours to answer
        ]  # fmt: skip
        if self.event_stream:
            lines.append(b"x-accel-buffering: no\r\n")
        first = STATUS_LINES.get(self.status) or b"HTTP/1.1 %d \r\n" % self.status
        self.passed = b"".join([first, *lines])
        self.raw = head

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"


def request_head(head: bytes) -> tuple[RequestHead, int]:
    """What a head says, and the length that it gives its body.

    Raises InvalidRequest or HeaderTooLarge.
    """
    key, length = _without_length(head)
    said = _request_head(key) if len(head) <= _LONGEST_KEPT else RequestHead(key)
    return said, said.length if length is None else length


def answer_head(head: bytes) -> tuple[ResponseHead, int]:
    """What a head says, and the length that it gives its body. Raises HttpParserError."""
    key, length = _without_length(head)
    said = _answer_head(key) if len(head) <= _LONGEST_KEPT else ResponseHead(key)
    return said, said.length if length is None else length


@lru_cache(KEPT)
def _request_head(head: bytes) -> RequestHead:
    said = RequestHead(head)
    said.is_kept = True
    return said


_answer_head = lru_cache(KEPT)(ResponseHead)


def _without_length(head: bytes) -> tuple[bytes, int | None]:
    """The head with a length of 0, and the previous length, if it is spelled as usual."""
    at = head.find(_LENGTH)
    if at < 0:
        at = head.find(_LOWER_LENGTH)
    begin = at + len(_LENGTH)
    end = head.find(b"\r\n", begin) if at >= 0 else -1
    if not begin < end <= begin + _MOST_DIGITS or not (digits := head[begin:end]).isdigit():
        return head, None
    return head[:begin] + b"0" + head[end:], int(digits)


class _Parsed:
    """What httptools finds in one head. Raises HttpParserError."""

    def __init__(self, kind: Any, head: bytes) -> None:
        self.target = b""
        self.headers: Headers = []
        self._heads = 0
        self._parser: Any = kind(self)
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # another protocol may follow; whether it does is not decided here
        finally:
            self._parser = None  # each has the other: this ends the circle
        if self._heads != 1:
            raise httptools.HttpParserError("the head has no end")

    @property
    def codings(self) -> list[bytes]:
        return [value.lower() for name, value in self.headers if name == b"transfer-encoding"]

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._heads += 1
        self.version: str = parser.get_http_version()
        self.keep_alive: bool = parser.should_keep_alive()
        self.upgrade: bool = parser.should_upgrade()
        is_request = isinstance(parser, httptools.HttpRequestParser)
        self.method: bytes = parser.get_method() if is_request else b""
        self.status: int = 0 if is_request else parser.get_status_code()


def _request_id(given: bytes) -> bytes | None:
    return given if _REQUEST_ID.match(given) else None


def _check_single(headers: Headers) -> None:
    """Raises InvalidRequest."""
    seen = set()
    for name, _ in headers:
        if name in _SINGLE:
            if name in seen:
                raise InvalidRequest(f"more than one {name.decode()} header in one request")
            seen.add(name)


def _idle_s(keep_alive: bytes) -> float:
    """For how many seconds a connection to an engine can be used again."""
    found = _KEEP_ALIVE.search(keep_alive)
    return min(_IDLE_S, int(found[1]) - 1) if found else _IDLE_S


def _named(connection: bytes) -> frozenset[bytes]:
    """The headers that a Connection header makes hop-by-hop."""
    return frozenset(token.strip().lower() for token in connection.split(b","))
