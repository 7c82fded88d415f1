"""A thousand instances are found, scrolled and watched, and only what is in sight is drawn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from support.served import Served, data_folder, serve
from support.window import Windows, look

COUNT = 1000
DRAWN = 60  # rows, at most
BASE = "/api/v1/instances"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("many")
    with serve(data_folder(folder, "{}")) as served:
        one = {"model": "/nowhere.gguf", "group": "many"}
        names = {f"model-{number:04d}": one for number in range(COUNT)}
        body = {"instances": names}
        assert served.request("PUT", "/api/v1/config/instances", body).status_code == 200
        yield served


def rows(page: Page) -> int:
    return page.get_by_role("row").count() - 1  # without its head


def test_found_and_scrolled(server: Served, windows: Windows) -> None:
    page = windows(server)
    table = page.get_by_role("table", name="Instances")
    expect(table).to_have_attribute("aria-rowcount", str(COUNT + 1))
    expect(page.get_by_role("link", name="model-0000")).to_be_visible()
    assert rows(page) <= DRAWN

    page.keyboard.press("End")
    expect(page.get_by_role("link", name="model-0999")).to_be_visible()
    assert rows(page) <= DRAWN
    page.keyboard.press("Home")
    page.get_by_label("Search instances").fill("0777")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("link", name="model-0777")).to_be_visible()


def test_the_dashboard_counts_them(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/dashboard")

    expect(page.get_by_text("0 of 1000 instances running")).to_be_visible()
    expect(page.get_by_text("No instance uses it.")).to_be_visible()
    expect(page.get_by_role("heading", name="No requests in the last hour")).to_be_visible()


def test_what_changes_is_seen(server: Served, windows: Windows) -> None:
    page = windows(server)
    expect(page.get_by_role("link", name="model-0000")).to_be_visible()
    server.request("DELETE", f"{BASE}/model-0000")
    expect(page.get_by_role("link", name="model-0000")).to_be_hidden()
    server.request("POST", f"{BASE}/model-0001/start")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="model-0001"))
    expect(row.get_by_text("Failed", exact=True)).to_be_visible()
    page.get_by_text("Failed", exact=True).first.click()
    expect(page.get_by_role("row")).to_have_count(2)


def test_all_are_chosen_and_deleted(server: Served, windows: Windows) -> None:
    page = windows(server)
    page.get_by_label("Search instances").fill("model-09")
    expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "101")
    page.get_by_label("Select all").check()
    expect(page.get_by_text("100 selected")).to_be_visible()
    page.get_by_role("button", name="Delete selected").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No matches")).to_be_visible()
    left = server.request("GET", BASE).json()
    assert not any(one["name"].startswith("model-09") for one in left)


def test_many_tabs_leave_each_other_a_connection(server: Served, windows: Windows) -> None:
    first = windows(server, path="#/activity")
    tabs = [first.context.new_page() for _ in range(8)]
    for before, tab in zip([first, *tabs], tabs, strict=False):
        look(before, away=True)
        tab.goto(f"{server.url}/#/instances")
        expect(tab.get_by_role("link", name="model-0002")).to_be_visible()
    server.request("POST", f"{BASE}/model-0002/start")
    server.request("POST", f"{BASE}/model-0003/start")

    look(tabs[-1], away=True)
    look(first, away=False)
    expect(first.get_by_role("article", name="model-0002: Exited")).to_be_visible()
    expect(first.get_by_role("article", name="model-0003: Exited")).to_be_visible()
