"""Chunked bodies: for every cut as httptools reads them, and nothing that it refuses passes."""

from __future__ import annotations

import contextlib
import itertools

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llamactl.core.errors import MalformedBody
from llamactl.proxy.http.chunks import ChunkedBody

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Oracle:
    """What httptools makes of a body; `body` is None where it refuses it."""

    def __init__(self, data: bytes) -> None:
        self._parts: list[bytes] = []
        self.ended = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(HEAD)
        self.refused = False
        try:
            parser.feed_data(data)
        except httptools.HttpParserError:
            self.refused = not self.ended

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def on_body(self, data: bytes) -> None:
        if not self.ended:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        self.ended = True


def read(data: bytes, cuts: list[int]) -> tuple[bytes, ChunkedBody]:
    """As pieces of a wire bring it; what comes after the end is not fed to it."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    body = ChunkedBody()
    parts: list[bytes] = []
    rest = b""
    for a, b in itertools.pairwise(edges):
        if body.ended:
            rest += data[a:b]
        else:
            parts += body.feed(data[a:b])
            rest = body.rest
    body.rest = rest
    return b"".join(parts), body


sizes = st.sampled_from(["%x", "%X", "0%x", "%x;a=b", '%x;a="b c"', "%x ;a"])
chunks = st.lists(st.tuples(st.binary(min_size=1, max_size=40), sizes), max_size=5)
trailers = st.lists(st.sampled_from(["A: b", "X-Long: " + "y" * 50, "E:"]), max_size=2)
cuts = st.lists(st.integers(0, 300), max_size=6)


@given(chunks, trailers, cuts, st.binary(max_size=20))
def test_what_was_framed_comes_out_however_it_is_cut(
    pieces: list[tuple[bytes, str]], ends: list[str], cut: list[int], after: bytes
) -> None:
    framed = b"".join((s % len(d)).encode() + b"\r\n" + d + b"\r\n" for d, s in pieces)
    framed += b"0\r\n" + b"".join(t.encode() + b"\r\n" for t in ends) + b"\r\n"

    got, body = read(framed + after, cut)

    assert got == b"".join(data for data, _ in pieces)
    assert body.ended
    assert body.rest == after


wild = st.lists(
    st.sampled_from(
        [b"0", b"1", b"a", b"F", b"g", b"x", b"\r\n", b"\r\n", b"\r", b"\n", b" ", b";", b"-", b"+",
         b":", b"\x00", b"\t", b"_", b"\xff", b"0\r\n\r\n", b"3\r\nabc\r\n"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(wild, cuts)
@example(b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n", [])
@example(b"+3\r\nabc\r\n0\r\n\r\n", [])
@example(b"0x3\r\nabc\r\n0\r\n\r\n", [])
@example(b"3\nabc\n0\n\n", [])
@example(b"3\r\nabc0\r\n\r\n", [])
@example(b"0\r\n\n", [])
@example(b"0\r\nA: b\nC: d\r\n\r\n", [])
def test_nothing_passes_that_httptools_would_read_otherwise(data: bytes, cut: list[int]) -> None:
    oracle = Oracle(data)
    got, ended = b"", False
    with contextlib.suppress(MalformedBody):  # stricter is fine
        got, body = read(data, cut)
        ended = body.ended

    if ended:
        assert not oracle.refused
        assert oracle.ended
        assert got == oracle.body


@pytest.mark.parametrize("data", [b"f" * 16, b"1;" + b"a" * 5000, b"0\r\n" + b"A: b\r\n" * 65])
def test_what_would_never_end_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBody):
        ChunkedBody().feed(data + b"\r\n")
