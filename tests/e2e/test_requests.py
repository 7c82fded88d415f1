"""The request log on the page: what runs, what failed, and which request was slow."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.fake_engine import begin_stream, create_fake, play, raw, to_end
from support.proxies import ask_once
from support.served import Served, data_folder, serve
from support.window import Windows

SETTINGS = {"LLAMACTL_LOG_LEVEL": "warning"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("requests")
    with serve(data_folder(folder, ""), SETTINGS) as served:
        create_fake(served, folder, "first")
        yield served


def test_requests_are_followed_filtered_and_cancelled(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/requests")
    expect(page.get_by_text("No requests yet")).to_be_visible()
    ask_once(server, "first")
    server.request("POST", "/v1/chat/completions", {"model": "nothing"})
    ended = page.get_by_role("table", name="Ended").get_by_role("row")
    expect(ended).to_have_count(3)
    expect(ended.nth(1)).to_contain_text("404")
    expect(ended.nth(1)).to_contain_text("there is no instance named 'nothing'")
    expect(ended.nth(2)).to_contain_text("management key")

    with raw(server) as client:
        begin_stream(server, client, "first")
        runs = page.get_by_role("table", name="1 request running")
        expect(runs).to_contain_text("answering")
        runs.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("1 request cancelled.")).to_be_visible()
        assert b'"code":"cancelled"' in to_end(client)
    expect(ended).to_have_count(4)
    expect(ended.nth(1)).to_contain_text("cancelled")

    page.get_by_text("Slowest").click()
    expect(ended.nth(1)).to_contain_text("cancelled")
    page.get_by_role("switch", name="Failed only").click(force=True)
    expect(ended).to_have_count(3)
    assert page.url.endswith("#/requests?sort=slowest&failed=true")
    page.get_by_role("combobox", name="Instance").click()
    page.get_by_role("option", name="first").click()
    expect(ended).to_have_count(2)
    ended.nth(1).get_by_role("link", name="first").click()
    expect(page.get_by_role("heading", name="first", level=1)).to_be_visible()


def test_what_an_engine_counts_is_shown(server: Served, windows: Windows) -> None:
    usage = {"prompt_tokens": 34, "completion_tokens": 21,
             "prompt_tokens_details": {"cached_tokens": 30}}  # fmt: skip
    body = json.dumps({"choices": [], "usage": usage})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    script = play("first", ["send", f"{head}\r\n{body}"])
    assert server.request("POST", "/v1/chat/completions", script).status_code == 200

    page = windows(server, path="#/instances/first")
    page.get_by_role("link", name="the last ones").click()
    assert page.url.endswith("#/requests?instance=first")
    rows = page.get_by_role("table", name="Ended").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("34 (30 reused) + 21")
