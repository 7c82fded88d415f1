"""Options that the engine does not list: refused on the page, or passed on where that is meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from support.served import Served, data_folder, serve
from support.window import Windows, go, keep, paste

PASSES = "Pass unknown options to the engine as they are"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("unknown"), "")) as served:
        yield served


def refused(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="This would be refused")


def stored(server: Served, name: str) -> object:
    return server.instance(name)["options"]["backend_options"]


def test_one_that_is_typed_is_passed_on_once_that_is_ticked(
    server: Served, windows: Windows
) -> None:
    page = windows(server, path="#/new")
    page.get_by_label("Name", exact=True).fill("typed")
    page.get_by_role("combobox", name="Model", exact=True).fill("/m.gguf")
    page.get_by_label("Start it now").uncheck()
    expect(page.get_by_role("status", name="Preview")).to_be_visible()
    expect(page.get_by_label(PASSES)).to_have_count(0)
    page.get_by_label("Find an option").fill("--contextsize")
    page.get_by_role("button", name="Set contextsize anyway").click()
    page.get_by_label("contextsize", exact=True).fill("true")
    expect(refused(page)).to_contain_text("did you mean ctx_size?")
    keep(page, "unknown-refused")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("did you mean ctx_size?")

    page.get_by_label(PASSES).check()
    expect(page.get_by_role("status", name="Preview")).to_contain_text("--contextsize")
    keep(page, "unknown-passed")
    page.get_by_label(PASSES).uncheck()
    expect(refused(page)).to_be_visible()
    page.get_by_label(PASSES).check()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="typed")).to_be_visible()
    assert stored(server, "typed") == {"model": "/m.gguf", "contextsize": True}
    go(page, "instances/typed/edit")
    page.get_by_label("Find an option").fill("another_one")
    page.get_by_role("button", name="Set another_one anyway").click()
    page.get_by_label("another_one", exact=True).fill("4")
    expect(refused(page)).to_contain_text("another_one")
    page.get_by_label(PASSES).check()
    expect(page.get_by_role("status", name="Preview")).to_contain_text("--another-one 4")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("tab", name="Events")).to_be_visible()
    assert stored(server, "typed") == {
        "model": "/m.gguf", "contextsize": True, "another_one": "4",
    }  # fmt: skip


def test_a_misspelt_one_is_corrected_by_a_click(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/new")
    page.get_by_role("combobox", name="Model", exact=True).fill("/m.gguf")
    search = page.get_by_label("Find an option")
    search.fill("thraeds")
    expect(page.get_by_text("Did you mean one of these?")).to_be_visible()
    page.get_by_role("button", name="Set threads", exact=True).click()
    threads = page.get_by_label("threads", exact=True)
    expect(threads).to_have_attribute("placeholder", "llama.cpp's default: -1")
    threads.fill("2")

    search.fill("batch_sise")
    page.get_by_role("button", name="Set batch_sise anyway").click()
    wrong = page.get_by_label("batch_sise", exact=True)
    wrong.fill("64")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("does not have this option. Did you mean batch_size?")).to_be_visible()
    keep(page, "unknown-near")
    page.get_by_role("button", name="Use batch_size").click()
    expect(wrong).to_have_count(0)
    expect(page.get_by_label("batch_size", exact=True)).to_have_value("64")
    expect(page.get_by_role("status", name="Preview")).to_contain_text("--batch-size 64")


def test_those_of_a_pasted_command_too(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/new")
    dialog = paste(page, "llama-server -m /m.gguf stray")
    expect(dialog.get_by_role("alert")).to_contain_text("stray")
    expect(dialog.get_by_label(PASSES)).to_have_count(0)
    dialog.get_by_label("Command line").fill("llama-server -m /m.gguf --contextsize 4096")
    dialog.get_by_role("button", name="Fill in the form").click()
    expect(dialog.get_by_role("alert")).to_contain_text("did you mean ctx_size?")
    dialog.get_by_label(PASSES).check()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    keep(page, "unknown-pasted")
    dialog.get_by_role("button", name="Fill in the form").click()

    expect(page.get_by_label(PASSES)).to_be_checked()
    expect(page.get_by_role("status", name="Preview")).to_contain_text("--contextsize 4096")


def test_those_of_imported_definitions_too(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    file = tmp_path / "set.json"
    given = {"model": "/m.gguf", "contextsize": 4096}
    file.write_text(json.dumps({"instances": {"imported": given}}))
    page = windows(server)
    page.get_by_role("button", name="Definitions").click()
    page.get_by_role("menuitem", name="Import").click()
    page.locator("input[type=file]").set_input_files(file)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("did you mean ctx_size?")).to_be_visible()
    dialog.get_by_label(PASSES).check()
    expect(dialog.get_by_text("New: imported")).to_be_visible()
    keep(page, "unknown-imported")
    dialog.get_by_role("button", name="Import").click()

    expect(page.get_by_role("link", name="imported")).to_be_visible()
    assert stored(server, "imported") == given
