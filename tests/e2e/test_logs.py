"""A log of any size is followed, searched, read backwards and downloaded, without a freeze."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from support.fake_engine import create_fake, play
from support.served import Served, data_folder, serve
from support.window import Windows, go

LINES = 250_000  # of 200 bytes
DRAWN = 200  # of the lines, at most
EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("logs")
    with serve(data_folder(folder, "{}")) as served:
        words = "\n".join(
            ["it begins", "warning: look at this", "error: that was bad", "it goes on"]
        )
        create_fake(served, folder, "loud", environment={"LOGS": words})
        yield served


def log_of(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=f"Log of {name}")


def test_levels_search_and_wrap(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/loud?tab=log")
    log = log_of(page, "loud")
    expect(log.locator("[data-level=error]")).to_have_text(["error: that was bad"])
    expect(log.locator("[data-level=warning]")).to_have_text(["warning: look at this"])
    page.get_by_label("Search the log").fill("that was")
    expect(log.get_by_text("it begins")).to_be_hidden()
    expect(log.get_by_text("error: that was bad")).to_be_visible()
    page.get_by_label("Search the log").fill("nothing has this")
    expect(log.get_by_text("No matching lines.")).to_be_visible()
    page.get_by_label("Search the log").fill("")

    line = log.get_by_text("--- ")
    expect(line).to_be_visible()
    expect(line).to_have_css("height", "20px")
    page.get_by_role("switch", name="Wrap lines").check()
    expect(line).not_to_have_css("height", "20px")


def test_a_flood(server: Served, windows: Windows, tmp_path: Path) -> None:
    page = windows(server, path="#/instances/loud?tab=log")
    log = log_of(page, "loud")
    expect(log).to_contain_text("it goes on")
    _log(server, LINES)

    expect(log).to_contain_text(f"line {LINES - 1:09d}")
    assert log.locator("[data-index]").count() < DRAWN
    page.get_by_label("Search the log").fill("000123456")
    expect(log.get_by_text("line 000123456")).to_be_visible()
    page.get_by_label("Search the log").fill("")
    expect(log).to_contain_text(f"line {LINES - 1:09d}")

    # backwards, without a gap
    first = _number(log, 0)
    log.evaluate("box => box.scrollTop = 0")
    page.get_by_role("button", name="Show earlier lines").click()
    expect(log.get_by_text(f"line {first - 1:09d}")).to_be_attached()
    expect(page.get_by_role("switch", name="Follow")).not_to_be_checked()
    page.get_by_role("switch", name="Follow").check()
    expect(log).to_contain_text(f"line {LINES - 1:09d}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "loud.log"
    download.value.save_as(tmp_path / "loud.log")
    assert f"line {LINES - 1:09d}" in (tmp_path / "loud.log").read_text()[-1000:]


def _number(log: Locator, row: int) -> int:
    """Of the line that is first in memory."""
    log.evaluate("box => box.scrollTop = 0")
    line = log.locator(f"[data-index='{row}']")
    expect(line).to_have_text(re.compile(r"^line \d+"))
    return int(line.inner_text().split()[1])


def test_only_a_person_ends_following(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/loud?tab=log")
    log, follow = log_of(page, "loud"), page.get_by_role("switch", name="Follow")
    _log(server, 1000)
    expect(log).to_contain_text("line 000000999")
    log.evaluate("box => box.scrollTop -= 100")  # as the browser does when lines are dropped
    _log(server, 2000)
    expect(log).to_contain_text("line 000001999")
    expect(follow).to_be_checked()

    log.hover()
    page.mouse.wheel(0, -500)
    expect(follow).not_to_be_checked()
    follow.check()
    log.press("PageUp")
    expect(follow).not_to_be_checked()


def _log(server: Served, lines: int) -> None:
    flood = play("loud", ["log", lines], ["send", EMPTY])
    assert server.request("POST", "/v1/chat/completions", flood).status_code == 200


def test_jump_to_the_crash(server: Served, windows: Windows, tmp_path: Path) -> None:
    words = {"LOGS": "the last words"}
    create_fake(server, tmp_path, "mortal", environment=words, auto_restart=False)
    server.request("POST", "/v1/chat/completions", play("mortal", ["log", 1000], ["die"]))
    server.until("mortal", "failed")
    page = windows(server)
    go(page, "instances/mortal")
    expect(page.get_by_role("alert")).to_contain_text("ended by signal 9 (killed)")
    page.get_by_role("link", name="View log").click()
    log = log_of(page, "mortal")
    expect(log).to_contain_text("line 000000999")
    log.evaluate("box => box.scrollTop = 0")
    expect(log).to_contain_text("the last words")
    page.get_by_role("button", name="Jump to the crash").click()
    expect(log).to_contain_text("line 000000999")
