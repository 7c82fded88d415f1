"""Bytes that nobody thought of: no traceback, and no cost that grows faster than they do.

A minute for each target in `make soak`; a moment for each by default.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from llamactl.backends import LLAMA_CPP
from llamactl.core.errors import LlamactlError
from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import ObjectScanner
from llamactl.policy.body.json_strings import ValueCounter
from llamactl.policy.body.model import ModelScanner, model_of_json
from llamactl.policy.definition.command_line import leave_unknown_out
from llamactl.policy.definition.engine_help import Vocabulary, read_help
from llamactl.proxy.http.chunks import ChunkedBody
from llamactl.proxy.http.heads import request_head
from support.served import Served, data_folder, serve

SECONDS = 60
TOKENS = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\\\", b" ", b"\n", b'"model"',
     b'"model":', b'"mod\\u0065l":', b'"seed" :', b"1", b"null", b"true", b"\x01", b"\xff", b"\x00",
     b'"a":', b"\\u00", b"\r\n", b"0\r\n", b"1\r\nx\r\n", b"ffffffff\r\n", b"1;e=1\r\n", b"POST / ",
     b"HTTP/1.1", b"Host: a\r\n", b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"]
)  # fmt: skip
BYTES = st.lists(TOKENS | st.binary(max_size=3), max_size=40).map(b"".join)
Tokens = st.SearchStrategy[bytes]
HELP = st.sampled_from(
    [b"-", b"--", b"-a", b"-nkvo", b"--no-", b"--ctx-size", b"=", b",", b", ", b" / ", b"|", b"..",
     b"<", b">", b"{", b"}", b"[", b"]", b"(", b")", b"N", b"FNAME", b"START END", b"0.95", b"'on'",
     b"<0...100>", b"(default: ", b"default: ", b"(valid range 0.0 to 1.0)",
     b"allowed values: a, b", b"- a: b", b"text", b"\t", b"  ", b" " * 40, b"\n", b"\n\n", b"---",
     b"options:"]
)  # fmt: skip
WORDS = st.sampled_from(
    [b" ", b"llama-server", b"-c", b"--ctx-size", b"1", b"-nkvo", b"--no-x", b"--lora a ", b"a=b",
     b"''", b'"', b"-m", b" --x= ", b"docker run ", b"-e", b"-v /a:/b ", b"\\\n", b"#", b"'"]
)  # fmt: skip
KNOWN = Vocabulary(
    read_help(
        "-m, --model FNAME  x\n-c, --ctx-size N  x\n--lora FNAME  x\n-k, --kvo, -nk, --no-kvo  x"
    )
)
CUTS = st.lists(st.integers(0, 400), max_size=4)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in sorted(cuts):
        yield data[at:cut] if cut > at else b""
        at = max(at, cut)
    yield data[at:]


def scan(data: bytes, cuts: list[int]) -> None:
    for scanner in (ModelScanner(), ObjectScanner(Names(["model", "seed", 'q"', ""]))):
        for piece in pieces(data, cuts):
            scanner.feed(piece)
    counter = ValueCounter()
    for piece in pieces(data, cuts):
        counter.feed(piece)
    model_of_json(data)


def read_head(data: bytes, cuts: list[int]) -> None:
    request_head(data + b"\r\n\r\n")


def read_chunks(data: bytes, cuts: list[int]) -> None:
    body = ChunkedBody()
    for piece in pieces(data, cuts):
        body.feed(piece)


def read_a_help(data: bytes, cuts: list[int]) -> None:
    read_help(data.decode(errors="replace"))


def read_a_command(data: bytes, cuts: list[int]) -> None:
    parsed = LLAMA_CPP.parse_command(data.decode(errors="replace"), KNOWN)
    leave_unknown_out(parsed, KNOWN)


Target = Callable[[bytes, list[int]], None]
TARGETS: dict[str, tuple[Target, bytes, Tokens]] = {
    "json": (scan, b'{"a":', TOKENS),
    "heads": (read_head, b"POST / HTTP/1.1\r\nHost: a\r\n", TOKENS),
    "chunks": (read_chunks, b"1\r\nx\r\n", TOKENS),
    "help": (read_a_help, b"-a, --abc N      text (default: 1)\n", HELP),
    "command": (read_a_command, b"llama-server -m x ", WORDS),
}


def for_a_while(scale: int, attempt: Callable[[], None]) -> None:
    """Again and again, until the time is over."""
    seconds = SECONDS if scale > 1 else 0
    over = time.monotonic() + seconds
    attempt()
    while time.monotonic() < over:
        attempt()


def fuzz(examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=checks
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_comes_is_taken_or_refused(target: str, scale: int) -> None:
    read, beginning, tokens = TARGETS[target]
    bytes_ = st.lists(tokens | st.binary(max_size=3), max_size=40).map(b"".join)

    @fuzz(300)
    @given(begins=st.sampled_from([b"", beginning]), data=bytes_, cuts=CUTS)
    def attempt(begins: bytes, data: bytes, cuts: list[int]) -> None:
        try:
            read(begins + data, cuts)
        except LlamactlError as error:
            assert error.status in (400, 413)

    for_a_while(scale, attempt)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_what_it_costs_grows_with_its_size_alone(target: str, scale: int) -> None:
    """Eight times the body: thirty times its cost would be more than linear."""
    read, beginning, tokens = TARGETS[target]

    def cost(data: bytes) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.thread_time()
            with contextlib.suppress(LlamactlError):
                read(data, [])
            best = min(best, time.thread_time() - began)
        return best

    @fuzz(10)
    @given(unit=st.lists(tokens, min_size=1, max_size=6).map(b"".join))
    def attempt(unit: bytes) -> None:
        few = 1 + 4000 // len(unit)
        small, large = (cost(beginning + unit * n) for n in (few, 8 * few))
        assert large < 30 * small + 0.02, (unit, small, large)

    for_a_while(scale, attempt)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = data_folder(tmp_path_factory.mktemp("fuzzed"), "")
    with serve(data) as running:
        yield running


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["key", "name", "permission_mode", "instances", "expires_at", "priority", "model"]
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("path", "key"), [("/api/v1/session", ""), ("/api/v1/auth/keys", None), ("/api/show", None)]
)
def test_sign_in_and_keys_refuse_what_they_can_not_use(
    server: Served, path: str, key: str | None, scale: int
) -> None:
    with server.client(key) as client:

        @fuzz(40)
        @given(body=st.dictionaries(FIELDS, ANYTHING, max_size=4).map(sendable) | BYTES)
        def attempt(body: bytes) -> None:
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500, (body, answer.text)

        for_a_while(scale, attempt)
        assert client.get("/health").status_code == 200
    log = Path(f"{server.data_dir}.err").read_text()
    assert "Traceback" not in log


def sendable(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
