"""From the printed address to a streamed answer of a real model, as a newcomer clicks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from support.served import Served, data_folder, serve
from support.window import Windows, keep, smollm2

LIMIT = 10  # clicks
STATES = 3  # of an answer that comes piece by piece


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With a model on this machine, and no instance."""
    folder = tmp_path_factory.mktemp("first")
    settings = f"models: {{folders: [{smollm2().parent}]}}"
    with serve(data_folder(folder, settings)) as served:
        yield served


def test_fewer_than_ten_clicks_to_a_streamed_answer(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    clicks = 0

    def click(role: str, name: str, within: Page | Locator = page) -> None:
        nonlocal clicks
        clicks += 1
        within.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]

    keep(page, "sign-in")
    page.get_by_label("Key", exact=True).fill(server.key)
    click("button", "Sign in")
    click("link", "Models")
    click("link", "Create instance")
    page.get_by_label("Name", exact=True).fill("smollm2")
    click("button", "Create")
    expect(page.get_by_role("heading", name="smollm2")).to_be_visible()
    click("link", "Chat", page.get_by_role("main"))
    page.get_by_label("Message").fill("Tell me a long story about a llama.")
    click("button", "Send")

    said = page.get_by_role("article", name="smollm2 said")
    waits = page.get_by_role("status")
    answer = page.get_by_role("article", name="smollm2 is responding").filter(has_not=waits)
    expect(answer.or_(said)).to_be_visible()
    seen: set[str] = set()
    while len(seen) < STATES and (texts := answer.all_inner_texts()):  # as it grows before our eyes
        seen.add(texts[0])
    clicks += 1  # this model may never end; click only if it has not
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.evaluate_all("found => found.forEach(button => button.click())")
    expect(said.get_by_text(re.compile(r"\d+ tokens?, [\d.]+ per second"))).to_be_visible()
    keep(page, "chat")
    assert len(seen) == STATES, seen
    assert clicks < LIMIT
    assert server.instance("smollm2")["state"] == "ready"
