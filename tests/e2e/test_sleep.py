"""An instance that sleeps: wanted by the form, shown, and woken by a click."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.served import BASE, Served, data_folder, serve
from support.window import Windows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sleep")
    with serve(data_folder(folder, "instances: {health_interval: 0.2}")) as served:
        body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512}}
        made = served.request("POST", f"{BASE}/one?start=false", body)
        assert made.status_code == 201, made.text
        yield served


def test_it_is_wanted_by_the_form_shown_and_woken(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/one/edit")
    page.get_by_role("combobox", name="When idle").click()
    page.get_by_role("option", name="Sleep").click()
    page.get_by_label("Idle after").press_sequentially("0.02")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("#/instances/one$"))
    options = server.instance("one")["options"]
    assert (options["idle_action"], options["idle_timeout"]) == ("sleep", 0.02)

    page.get_by_role("button", name="Start").first.click()
    expect(page.get_by_text("Asleep").first).to_be_visible()
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/asleep.png", full_page=True)
    page.get_by_role("button", name="Start").first.click()
    expect(page.get_by_text("Running").first).to_be_visible()
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_role("article", name="one: Fell asleep").first).to_be_visible()
    if shots:
        page.screenshot(path=f"{shots}/events.png", full_page=True)
