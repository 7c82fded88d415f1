"""*Connect* on an instance's page: what it shows works when it is pasted elsewhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.window import Windows, go


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("connect")
    with serve(data_folder(folder, "{}")) as served:
        body = {"model": str(tiny_model), "ctx_size": 256}
        made = served.request("POST", "/api/v1/instances/1e3?wait=true", body)
        assert made.is_success, made.text
        create_fake(served, folder, "theirs", start=False)
        yield served


def connect(server: Served, windows: Windows) -> Page:
    page = windows(server, permissions=["clipboard-read", "clipboard-write"])
    go(page, "instances/1e3")
    page.get_by_role("tab", name="Connect").click()
    expect(page.get_by_role("button", name="Make a key here")).to_be_visible()
    return page


def make_key(page: Page) -> str:
    page.get_by_role("button", name="Make a key here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value("1e3")
    dialog.get_by_role("button", name="Create").click()
    shown = page.get_by_role("status").filter(has_text="is shown only once")
    return shown.locator("code").inner_text()


def copied(page: Page, label: str) -> str:
    page.get_by_role("button", name=label, exact=True).click()
    expect(page.get_by_role("tooltip", name="Copied").last).to_be_visible()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def run(command: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_curl_command_gets_an_answer_with_the_key_made_there(
    server: Served, windows: Windows
) -> None:
    page = connect(server, windows)
    panel = page.get_by_role("tabpanel", name="curl")
    before = panel.locator("pre").inner_text()
    assert json.loads(run(before))["code"] == "unauthenticated"  # YOUR_KEY is none

    key = make_key(page)
    expect(panel.locator("pre")).to_contain_text(key)
    command = panel.locator("pre").inner_text()

    assert command == before.replace("YOUR_KEY", key)
    assert copied(page, "Copy for curl") == command
    answer = json.loads(run(command))
    assert answer["model"] == "1e3"
    assert answer["choices"][0]["message"]["content"]


def test_the_key_is_for_this_instance_and_gone_when_the_page_is_left(
    server: Served, windows: Windows
) -> None:
    page = connect(server, windows)
    key = make_key(page)

    for model, status in (("1e3", 200), ("theirs", 403)):
        body = {"model": model, "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
        answer = server.request("POST", "/v1/chat/completions", body, key=key)
        assert answer.status_code == status
    page.get_by_role("tab", name="Overview").click()
    page.get_by_role("tab", name="Connect").click()
    expect(page.get_by_role("button", name="Make a key here")).to_be_visible()
    assert key not in page.content()


def test_each_client_gets_the_pages_own_address(server: Served, windows: Windows) -> None:
    page = connect(server, windows)

    assert copied(page, "Copy the Base URL") == f"{server.url}/v1"
    assert copied(page, "Copy the model") == "1e3"
    for client in ("curl", "Python", "JavaScript", "Open WebUI", "Continue"):
        page.get_by_role("tab", name=client, exact=True).click()
        code = page.get_by_role("tabpanel", name=client).locator("pre")
        expect(code).to_contain_text(f"{server.url}/v1")
        expect(code).to_contain_text("YOUR_KEY")
    expect(page.get_by_text("This address works on this machine only.")).to_be_visible()
