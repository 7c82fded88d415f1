"""The dashboard: what holds memory, what was served, what failed; by pointer and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.fake_engine import create_fake, play
from support.served import Served, data_folder, serve
from support.window import Windows, go

CHAT = "/v1/chat/completions"
ANSWERED = json.dumps(
    {"usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details":
        {"cached_tokens": 60}}}
)  # fmt: skip
HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWERED)}\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("dashboard")
    with serve(data_folder(folder, "instances: {memory_budget: 400MiB}")) as served:
        create_fake(served, folder, "first")
        create_fake(served, folder, "second")
        create_fake(served, folder, "idle", start=False)
        create_fake(served, folder, "broken", start=False, auto_restart=False)
        served.request("POST", CHAT, play("broken", ["die"]))
        served.until("broken", "failed")
        for _ in range(6):
            answer = served.request("POST", CHAT, play("second", ["send", HEAD + ANSWERED]))
            assert answer.is_success, answer.text
        yield served


def test_it_is_where_one_lands_and_shows_who_holds_memory(server: Served, windows: Windows) -> None:
    page = windows(server, path="")
    expect(page.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()
    expect(page.get_by_text("2 of 4 instances running")).to_be_visible()
    memory = page.get_by_role("region", name="Memory")
    expect(memory.get_by_text("of 400 MiB")).to_be_visible()
    expect(memory.get_by_role("link")).to_have_count(2)
    first = memory.get_by_role("link", name=re.compile("^first: .* of memory, running, leaves"))
    expect(first).to_be_visible()  # the other one was used after it
    expect(memory.get_by_text("Leaves first if a request needs room: first")).to_be_visible()

    first.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tooltip").get_by_text(re.compile("^second: "))).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("tooltip").get_by_text(re.compile("^first: "))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="first", level=1)).to_be_visible()


def test_charts_are_read_by_the_arrow_keys(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/dashboard")
    chart = page.get_by_role("slider", name=re.compile("^Generated tokens: .*highest"))
    expect(chart.locator("canvas")).to_be_visible()
    expect(page.get_by_role("slider")).to_have_count(6)
    reused = page.get_by_role("slider", name="Context reused: of prompt tokens latest 60 %")
    expect(reused).to_be_visible()
    chart.focus()
    page.keyboard.press("End")
    expect(chart).to_have_attribute("aria-valuenow", "59")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", "57")
    expect(chart).to_have_attribute("aria-valuetext", re.compile(r"tokens [\d.]+/s$"))
    expect(chart.get_by_text(re.compile(r"tokens [\d.]+/s$"))).to_be_visible()
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("Escape")
    expect(chart.get_by_text(re.compile(r"tokens [\d.]+/s$"))).to_be_hidden()

    page.get_by_role("radiogroup", name="Time shown").get_by_text("Last day").click()
    expect(chart).to_have_attribute("aria-valuemax", "143")


def test_the_last_failures_lead_to_their_instance(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/dashboard")
    failures = page.get_by_role("region", name="Last failures")
    expect(failures.get_by_role("article", name="broken: Exited")).to_be_visible()

    failures.get_by_role("link", name="broken").click()
    expect(page.get_by_role("heading", name="broken", level=1)).to_be_visible()


def test_an_instance_has_charts_of_its_own(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/second")
    page.get_by_role("tab", name="Charts").click()
    expect(page.get_by_role("slider", name=re.compile("^Requests: answered"))).to_be_visible()

    go(page, "instances/idle?tab=charts")
    expect(page.get_by_role("heading", name="No requests in the last hour")).to_be_visible()
    expect(page.get_by_role("slider")).to_have_count(0)


def test_without_instances_one_lands_at_the_first_steps(tmp_path: Path, windows: Windows) -> None:
    with serve(data_folder(tmp_path, "{}")) as empty:
        page = windows(empty, path="")
        expect(page.get_by_role("heading", name="No instances yet")).to_be_visible()
        assert page.url.endswith("#/instances")
        page.get_by_role("link", name="Dashboard").click()
        expect(page.get_by_role("link", name="First steps")).to_be_visible()
        page.context.close()
