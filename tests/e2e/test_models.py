"""Models are found, fetched, used and deleted on the page; the hub is the suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from llamactl.client import Client
from support.hub import Hub, hub
from support.served import Served, data_folder, serve
from support.window import Windows, go, keep

REPO = "people/small-GGUF"


@dataclass
class Place:
    server: Served
    hub: Hub


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("fetched")
    with hub() as ours:
        data = tiny_model.read_bytes()
        ours.repos[REPO] = {"small-Q4_K_M.gguf": data, "small-Q8_0.gguf": data + bytes(1 << 20)}
        ours.repos["people/other-GGUF"] = {"other-Q4_0.gguf": data}
        ours.repos["people/closed-GGUF"] = {"closed-Q4_0.gguf": data}
        ours.gated.add("people/closed-GGUF")
        with serve(data_folder(folder, "{}"), ours.environment(folder / "cache")) as server:
            yield Place(server, ours)


STARTER = "Qwen/Qwen3-0.6B-GGUF"


def test_a_first_model_is_one_click_away(place: Place, windows: Windows, tiny_model: Path) -> None:
    place.hub.repos[STARTER] = {"Qwen3-0.6B-Q8_0.gguf": tiny_model.read_bytes()}
    page = windows(place.server, path="#/models")
    expect(page.get_by_role("heading", name="No models yet")).to_be_visible()
    first = page.get_by_role("region", name="Good first models")
    expect(first).to_contain_text("Fits in memory")
    expect(first).to_contain_text("apache-2.0")
    first.get_by_role("button", name="Show all").click()
    keep(page, "first-models")
    first.get_by_role("button", name="Download Qwen3 0.6B").click()
    card = page.get_by_role("article").filter(has_text=f"{STARTER}:Q8_0")
    expect(card).to_be_visible()
    expect(first).to_be_hidden()

    page.get_by_role("button", name="Download a model").click()
    first = page.get_by_role("dialog").get_by_role("region", name="Good first models")
    first.get_by_role("button", name="Show all").click()
    expect(first).to_contain_text("On this machine")
    expect(first.get_by_role("button", name="Download Qwen3 0.6B")).to_be_hidden()
    page.keyboard.press("Escape")
    with Client(place.server.url, api_key=place.server.key) as client:
        client.models.delete(f"{STARTER}:Q8_0")
        client.models.cancel(client.models.jobs()[0].id)
    del place.hub.repos[STARTER]


def test_one_quantisation_is_recommended_and_results_are_kept(
    place: Place, windows: Windows
) -> None:
    place.hub.licenses[REPO] = "mit"
    page = windows(place.server, path="#/models")
    page.get_by_role("button", name="Download a model").first.click()
    dialog = page.get_by_role("dialog")
    search = dialog.get_by_label("Search the hub")
    search.fill("GGUF")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("downloads · mit · changed")).to_have_count(1)
    dialog.get_by_role("button", name=REPO).click()
    expect(dialog.get_by_text("Licence: mit")).to_be_visible()
    expect(dialog.get_by_text("Recommended")).to_have_count(1)
    expect(dialog.get_by_text("from Q4_K_M to Q6_K")).to_be_visible()
    expect(dialog.get_by_text("Fits in memory")).to_have_count(2)
    keep(page, "models-recommended")
    dialog.get_by_role("button", name="Back to results").click()
    expect(search).to_be_focused()
    expect(search).to_have_value("GGUF")
    expect(dialog.get_by_role("button", name="people/other-GGUF")).to_be_visible()


def test_a_hub_out_of_reach_says_what_to_do(place: Place, windows: Windows) -> None:
    page = windows(place.server, path="#/models")
    page.get_by_role("button", name="Download a model").first.click()
    dialog = page.get_by_role("dialog")
    place.hub.broken = lambda handler: handler.send_error(503)
    try:
        dialog.get_by_label("Search the hub").fill("small")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("answers with 503")
        expect(dialog.get_by_role("alert")).to_contain_text("HTTPS_PROXY")
        expect(dialog.get_by_role("alert")).to_contain_text("models.folders")
        keep(page, "models-unreachable")
    finally:
        place.hub.broken = None


def test_from_a_search_to_a_file(place: Place, windows: Windows) -> None:
    place.hub.pause_at = 300_000
    page = windows(place.server)
    page.get_by_role("link", name="Download a model").click()
    page.get_by_role("button", name="Download a model").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search the hub").fill("small")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name=REPO).click()
    expect(dialog.get_by_role("button", name="Download Q8_0")).to_be_visible()
    dialog.get_by_role("button", name="Download Q4_K_M").click()
    expect(dialog).to_be_hidden()

    bar = page.get_by_role("progressbar", name="Progress of")
    expect(bar).to_be_attached()
    assert place.hub.paused.wait(30)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused")).to_be_visible()
    place.hub.pause_at = 0
    place.hub.go_on.set()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("done")).to_be_visible()
    card = page.get_by_role("article").filter(has_text="Q4_K_M")
    expect(card).to_be_visible()
    card.get_by_role("button", name="Show details").click()
    expect(card.get_by_role("row", name="Architecture")).to_contain_text("llama")
    expect(card.get_by_role("row", name="Fits in memory")).to_contain_text("yes")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Downloads")).to_be_hidden()


def test_a_file_is_used_and_deleted(place: Place, windows: Windows) -> None:
    with Client(place.server.url, api_key=place.server.key) as client:
        job = client.models.download(f"{REPO}:Q4_K_M")
        assert [seen.state for seen in client.models.follow(job.id)][-1] == "done"
        client.models.cancel(job.id)  # forgets it
    page = windows(place.server, path="#/models")
    card = page.get_by_role("article").filter(has_text="Q4_K_M")
    card.get_by_role("link", name="Create instance").click()
    page.get_by_label("Name", exact=True).fill("fetched")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    go(page, "models")
    card.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("used by fetched")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert").filter(has_text="Could not delete")).to_contain_text("fetched")
    place.server.request("DELETE", "/api/v1/instances/fetched")
    page.reload()
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No models yet")).to_be_visible()


def test_a_download_is_cancelled(place: Place, windows: Windows) -> None:
    place.hub.paused.clear()
    place.hub.go_on.clear()
    place.hub.pause_at = 500_000
    page = windows(place.server, path="#/models")
    page.get_by_role("button", name="Download a model").first.click()
    page.get_by_label("Search the hub").fill(f"{REPO}:Q8_0")
    page.keyboard.press("Enter")
    assert place.hub.paused.wait(30)
    page.get_by_role("button", name="Cancel people").click()
    expect(page.get_by_text("cancelled")).to_be_visible()
    page.get_by_role("button", name="Remove people").click()
    expect(page.get_by_role("heading", name="Downloads")).to_be_hidden()
    place.hub.go_on.set()
    place.hub.pause_at = 0


def test_what_the_hub_refuses_is_said(place: Place, windows: Windows) -> None:
    page = windows(place.server, path="#/models")
    page.get_by_role("button", name="Download a model").first.click()
    dialog = page.get_by_role("dialog")
    search = dialog.get_by_label("Search the hub")
    search.fill("closed")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("gated")).to_be_visible()
    dialog.get_by_role("button", name="people/closed-GGUF").click()
    expect(dialog.get_by_role("alert")).to_contain_text("accept its terms")
    search.fill("nobody/nothing")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("no such repository")
    search.fill("what nobody has")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("No matching models with GGUF files")).to_be_visible()


def test_an_instance_of_the_hubs(place: Place, windows: Windows) -> None:
    page = windows(place.server, path="#/new")
    page.get_by_role("button", name="Search the hub").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search the hub").fill("people/other-GGUF")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Choose Q4_0").click()
    model = page.get_by_role("combobox", name="Model", exact=True)
    expect(model).to_have_value("people/other-GGUF/other-Q4_0.gguf")
    page.get_by_label("Name", exact=True).fill("other")
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    expect(page.get_by_role("article").filter(has_text="other-GGUF")).to_be_visible()
    page.get_by_role("link", name="Instances").click()
    page.get_by_role("button", name="Start other").click()
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    made = place.server.instance("other")
    assert made["options"]["backend_options"] == {
        "hf_repo": "people/other-GGUF",
        "hf_file": "other-Q4_0.gguf",
    }
    place.server.request("DELETE", "/api/v1/instances/other")
