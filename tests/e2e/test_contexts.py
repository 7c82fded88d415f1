"""What is kept of conversations: seen, wanted or not, and removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.served import BASE, Served, data_folder, serve
from support.window import Windows, go, unfold

SETTINGS = "instances: {context_min_tokens: 32}"
PROMPT = "one two three four " * 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("contexts")
    with serve(data_folder(folder, SETTINGS)) as served:
        for name in ("one", "two"):
            body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512}}
            made = served.request("POST", f"{BASE}/{name}?start=false", body)
            assert made.status_code == 201, made.text
        yield served


def keep(server: Served, *names: str) -> None:
    for name in names:
        body = {"model": name, "prompt": PROMPT, "max_tokens": 1}
        assert server.request("POST", "/v1/completions", body).status_code == 200
        assert server.request("POST", f"{BASE}/{name}/stop?wait=true").status_code == 200


def confirm(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()


def test_a_kept_context_is_shown_and_removed(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/one")
    kept = page.get_by_role("region", name="Kept context")
    expect(page.get_by_role("heading", name="one", level=1)).to_be_visible()
    expect(kept).to_have_count(0)

    keep(server, "one", "two")
    expect(kept).to_contain_text(re.compile(r"\d+ tokens, .*iB, saved .*(now|ago)"))
    page.get_by_role("tab", name="Events").click()
    saved = page.get_by_role("article", name="one: Context saved")
    expect(saved).to_contain_text(re.compile(r"\d+ tokens, .*iB, in \d+"))
    keep(server, "one")
    used = page.get_by_role("article", name="one: Context used")
    expect(used).to_contain_text(re.compile(r"\d+ tokens"))

    page.get_by_role("tab", name="Overview").click()
    expect(kept).to_contain_text(re.compile(r"Last used (just now|.* ago)"))
    kept.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("dialog")).to_contain_text("computes its prompts again")
    confirm(page)
    expect(kept).to_have_count(0)
    rows = server.request("GET", "/api/v1/contexts").json()
    assert [row["instance"] for row in rows] == ["two"]


def test_all_are_removed_where_their_disk_is_shown(server: Served, windows: Windows) -> None:
    keep(server, "one", "two")
    page = windows(server)
    go(page, "system")
    kept = page.get_by_role("region", name="Kept contexts")
    expect(kept).to_contain_text(re.compile(r"iB on the disk, of 2 instances"))
    kept.get_by_role("button", name="Remove all").click()
    confirm(page)

    expect(kept).to_contain_text("Nothing is kept")
    assert server.request("GET", "/api/v1/contexts").json() == []


def test_whether_to_keep_is_chosen_and_what_is_in_the_way_is_shown(
    server: Served, windows: Windows
) -> None:
    page = windows(server, path="#/instances/one/edit")
    unfold(page)
    choice = page.get_by_role("combobox", name="Keep its context")
    expect(choice).to_have_value("From the settings: auto")
    choice.click()
    page.get_by_role("option", name="Yes").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="one", level=1, exact=True)).to_be_visible()
    server.until_row("one", "its choice", lambda row: row["options"].get("keep_context") == "on")

    mine = {"backend_options": {"slot_save_path": str(server.data_dir)}}
    assert server.request("PUT", f"{BASE}/one", mine).status_code == 200
    kept = page.get_by_role("region", name="Kept context")
    expect(kept).to_contain_text("Lost when it stops: slot_save_path is set")
