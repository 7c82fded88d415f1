"""Whoever can send requests can't fill llamactl's own log, and is seen in it all the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.fake_engine import create_fake, raw, to_end
from support.served import Served, data_folder, serve

CHAT = "/v1/chat/completions"
MANY = 400
ENOUGH = 200  # lines, of what a machine that is slow gets through in the meantime as well


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("flood")
    with serve(data_folder(folder, "")) as served:
        create_fake(served, folder, "fails", start=False, command_override="/bin/false")
        yield served


def lines(server: Served) -> Counter[str]:
    """By event."""
    text = (server.data_dir.parent / "data.err").read_text()
    return Counter(re.findall(r"^\d\d:\d\d:\d\d \w+ +(\w+)", text, re.MULTILINE))


def ask(client: httpx.Client, model: str) -> int:
    return client.post(CHAT, json={"model": model}).status_code


def test_requests_for_a_model_that_fails_are_no_line_each(server: Served) -> None:
    with server.client() as client:
        assert {ask(client, "fails") for _ in range(MANY)} == {503}

    assert 0 < lines(server)["request_failed"] <= ENOUGH


def test_what_is_no_request_is_no_line_each(server: Served) -> None:
    for _ in range(MANY):
        with raw(server) as client:
            client.sendall(b"no HTTP\r\n\r\n")
            assert to_end(client).startswith(b"HTTP/1.1 400 ")

    assert 0 < lines(server)["request_refused"] <= ENOUGH


def test_wrong_keys_in_headers_are_told_by_their_number(server: Served) -> None:
    with server.client("llamactl-0123456789ab.wrong") as client:
        assert {ask(client, "fails") for _ in range(150)} == {401}
    with server.client("") as client:
        assert {ask(client, "fails") for _ in range(150)} == {401}  # none is no wrong one

    text = (server.data_dir.parent / "data.err").read_text()
    assert re.findall(r" wrong_key address=127\.0\.0\.1 tries=(\d+)", text) == ["1", "10", "100"]


def test_an_unknown_key_counts_as_wrong_only_where_one_is_asked_for(tmp_path: Path) -> None:
    settings = "auth: {require_inference_auth: false, require_management_auth: false}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        with server.client("sk-none") as client:
            assert ask(client, "none") == 404
        assert "wrong_key" not in lines(server)
