"""Heads are parsed once for all requests that begin with the same bytes."""

from __future__ import annotations

import httptools
import pytest

from llamactl.core.errors import HeaderTooLarge, InvalidRequest
from llamactl.proxy.http.heads import answer_head, request_head


def head(*lines: str, first: str = "POST /v1/x?a=b HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: a", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_equal_heads_are_one_but_for_the_length_of_their_body(name: str) -> None:
    short, length = request_head(head(f"{name}: 5", "X-A: 1"))
    long, longer = request_head(head(f"{name}: 5000", "X-A: 1"))
    other, _ = request_head(head(f"{name}: 5", "X-A: 2"))

    assert short is long
    assert (length, longer) == (5, 5000)
    assert other is not short
    assert not any(name == b"content-length" for name, _ in short.headers)
    assert (short.path, short.query, short.sized) == ("/v1/x", b"a=b", True)


@pytest.mark.parametrize(
    "line",
    [
        "Content-length: 7", "CONTENT-LENGTH: 7", "Content-Length:7", "content-length:  7 ",
        f"Content-Length: {7:016}",
    ],
)  # fmt: skip
def test_a_length_may_be_written_in_any_way(line: str) -> None:
    said, length = request_head(head(line))

    assert (length, said.length, said.sized) == (7, 7, True)


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 0", "Content-Length: 0"],
        ["Content-Length: 5", "CONTENT-LENGTH: 5"],
        ["content-length: 5", "Content-Length: 0"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 0"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Content-Length: -1"],
        ["Content-Length: 1e3"],
        ["Content-Length: 5,5"],
        ["X: a\n Content-Length: 5"],
        ["X: a\rb"],
        ["X : a"],
        [" folded"],
    ],
)
def test_what_says_two_things_of_its_body_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        request_head(head(*lines))


def test_other_versions_are_refused() -> None:
    for version in ("0.9", "2.0", "1.2"):
        with pytest.raises(InvalidRequest):
            request_head(head(first=f"GET / HTTP/{version}"))
    with pytest.raises(InvalidRequest):
        request_head(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0"))
    assert not request_head(head("Connection: keep-alive", first="GET / HTTP/1.0"))[0].keep_alive


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_1_1_needs_a_host(version: str) -> None:
    without = f"GET / HTTP/{version}\r\nAccept: a\r\n\r\n".encode()
    if version == "1.0":
        assert request_head(without)[0].hosts == ()
    else:
        with pytest.raises(InvalidRequest, match="no Host"):
            request_head(without)


@pytest.mark.parametrize("host", ["", "a b", "user@localhost", "localhost/", "a:b", "[::1", "\xe9"])
def test_a_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest):
        request_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))


@pytest.mark.parametrize(
    "sent",
    [
        head(*["a:"] * 1000),
        head(first=f"GET /{'%20' * 5000} HTTP/1.1"),
        head(f"Connection: {'a,' * 1000}"),
        head(first=f"GET /?{'%41=%41&' * 1200} HTTP/1.1"),
    ],
)
def test_what_would_cost_more_than_it_says_is_refused(sent: bytes) -> None:
    with pytest.raises(HeaderTooLarge):
        request_head(sent)


def test_no_host_name_is_longer_than_names_are() -> None:
    """What was decided for a name is kept."""
    with pytest.raises(InvalidRequest):
        request_head(f"GET / HTTP/1.1\r\nHost: {'a' * 400}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "name",
    ["Host", "Authorization", "X-Api-Key", "Origin", "Content-Type", "Sec-Fetch-Site",
     "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-WebSocket-Key", "Sec-WebSocket-Version"],
)  # fmt: skip
def test_what_says_who_asks_or_from_where_is_said_once(name: str) -> None:
    for second in (name, name.upper()):
        with pytest.raises(InvalidRequest, match="more than one"):
            request_head(f"GET / HTTP/1.1\r\n{name}: a\r\nX: b\r\n{second}: a\r\n\r\n".encode())


def test_the_authority_of_an_absolute_target_counts_not_the_host_header() -> None:
    said, _ = request_head(head("X: 1", first="GET http://[::1]:80/x?y=z HTTP/1.1"))

    assert (said.raw_path, said.query) == (b"/x", b"y=z")
    assert [*said.hosts] == [b"a", b"[::1]:80"]
    assert said.fields[b"host"] == b"[::1]:80"
    assert [value for name, value in said.headers if name == b"host"] == [b"[::1]:80"]
    assert b"x-forwarded-host: [::1]:80\r\n" in said.passed


@pytest.mark.parametrize(
    "target",
    ["http://user@localhost/", "http://user:secret@localhost/", "http://@localhost/",
     "ftp://localhost/", "file://localhost/etc", "http:///x", "http://a:99999/", "localhost:80"],
)  # fmt: skip
def test_an_absolute_target_with_anything_else_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequest):
        request_head(head(first=f"GET {target} HTTP/1.1"))


def test_what_passes_to_the_engine() -> None:
    lines = ["Cookie: a", "Connection: keep-alive, X-Mine", "X-Mine: 1", "Authorization: b"]
    said, _ = request_head(head(*lines, "Accept: c", "X-Api-Key: d", "TE: trailers"))

    assert said.passed == b"accept: c\r\nx-forwarded-host: a\r\nx-request-id: "


def test_what_passes_to_the_client() -> None:
    lines = ["Set-Cookie: a", "Connection: close, X-Mine", "X-Mine: 1", "Access-Control-Max-Age: 1"]
    answer = head(*lines, "Content-Type: text/event-stream; x", first="HTTP/1.1 200 Fine")
    said, _ = answer_head(answer)

    assert said.passed == (
        b"HTTP/1.1 200 OK\r\nhost: a\r\ncontent-type: text/event-stream; x\r\n"
        b"x-accel-buffering: no\r\n"
    )
    assert said.event_stream
    assert not said.keep_alive


def test_answers_share_a_head_too() -> None:
    one, length = answer_head(head("Content-Length: 5", first="HTTP/1.1 200 OK"))
    two, longer = answer_head(head("Content-Length: 6", first="HTTP/1.1 200 OK"))

    assert one is two
    assert (length, longer) == (5, 6)
    with pytest.raises(httptools.HttpParserError):
        answer_head(head("Content-Length: 5", "Content-Length: 6", first="HTTP/1.1 200 OK"))
    with pytest.raises(httptools.HttpParserError):
        answer_head(head("Transfer-Encoding: gzip, chunked", first="HTTP/1.1 200 OK"))


@pytest.mark.parametrize(
    "path", ["/k/a.b/v1/x", "/%6B/a.b/v1/x", "//k//a%2Eb/v1/x", "http://a/k/a.b/v1/x"]
)
def test_a_key_in_the_path_is_as_one_in_a_header(path: str) -> None:
    others = ["Authorization: Bearer ollama", "X-Api-Key: c", "Cookie: d", "X-A: 1"]
    said, _ = request_head(head(*others, first=f"GET {path}?model=m HTTP/1.1"))

    assert (said.has_path_key, said.path, said.raw_path) == (True, "/v1/x", b"/v1/x")
    assert said.query == b"model=m"
    assert said.fields[b"authorization"] == b"Bearer a.b"
    assert [n for n, _ in said.headers if n != b"host"] == [b"x-a", b"authorization"]
    assert b"a.b" not in said.passed and "a.b" not in repr(said)


@pytest.mark.parametrize("path", ["/k", "/kk/a/v1/x", "/v1/k/a", "/upstream/k/a"])
def test_other_paths_have_no_key_in_them(path: str) -> None:
    said, _ = request_head(head(first=f"GET {path} HTTP/1.1"))

    assert (said.has_path_key, said.path) == (False, path)


def test_a_path_has_one_key() -> None:
    for path in ("/k/a/k/b/v1/x", "/k/a//k/b"):
        with pytest.raises(InvalidRequest, match="more than one key"):
            request_head(head(first=f"GET {path} HTTP/1.1"))
