"""Instances are made, changed, run and deleted on the page."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.window import Windows, drawn, go, keep, paste, unfold


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("instances")
    settings = f"models: {{folders: [{tiny_model.parent}]}}"
    with serve(data_folder(folder, settings)) as served:
        yield served


def row(page: Page, name: str) -> object:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_made_changed_and_deleted(server: Served, windows: Windows, tiny_model: Path) -> None:
    page = windows(server)
    page.get_by_role("link", name="New instance").click()
    preview = page.get_by_role("status", name="Preview")
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_role("combobox", name="Model", exact=True).click()
    page.get_by_role("option", name=re.compile("^tiny")).click()
    expect(preview.get_by_text("It fits")).to_be_visible()
    page.get_by_label("Context size").fill("512")
    page.get_by_label("Find an option").fill("threads")
    page.get_by_role("button", name="Set threads", exact=True).click()
    page.get_by_label("threads", exact=True).fill("1")
    expect(preview).to_contain_text("--ctx-size 512")
    expect(preview).to_contain_text("--threads 1")
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="first")).to_be_visible()
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    made = server.instance("first")
    assert made["options"]["backend_options"] == {
        "model": str(tiny_model),
        "ctx_size": 512,
        "threads": 1,
    }

    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_text("No changes yet.")).to_be_visible()
    page.get_by_role("button", name="Use the default of threads").click()
    unfold(page)
    page.get_by_label("Group").fill("tests")
    expect(page.get_by_text("Changes: group, threads")).to_be_visible()
    expect(page.get_by_text("The instance will be restarted")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("tab", name="Events")).to_be_visible()
    changed = server.instance("first")
    assert "threads" not in changed["options"]["backend_options"]
    assert changed["options"]["group"] == "tests"

    page.get_by_role("button", name="Stop first").click()
    expect(page.get_by_text("Stopped", exact=True).first).to_be_visible()
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_text("Became ready").first).to_be_visible()
    page.get_by_role("button", name="More actions for first").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No instances yet")).to_be_visible()
    assert server.request("GET", "/api/v1/instances/first").status_code == 404


def test_the_form_says_what_applies_and_where_it_is_wrong(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    create_fake(server, tmp_path, "taken", start=False)
    page = windows(server, path="#/new")
    context = page.get_by_label("Context size")
    expect(context).to_have_attribute("placeholder", "llama.cpp's default: 0")
    idle = page.get_by_label("Idle after")
    expect(idle).to_have_attribute("placeholder", "From the settings: 30 min")
    expect(page.get_by_role("combobox", name="Start on demand")).to_have_value(
        "From the settings: yes"
    )
    name = page.get_by_label("Name", exact=True)
    name.fill("taken")
    expect(page.get_by_text("An instance has this name already")).to_be_visible()
    name.fill("-bad")
    expect(name).to_have_attribute("aria-invalid", "true")
    name.fill("wrong")

    page.get_by_role("button", name="Create").click()  # nothing says which model
    model = page.get_by_role("combobox", name="Model", exact=True)
    expect(model).to_be_focused()
    expect(model).to_have_attribute("aria-invalid", "true")
    model.fill("/m.gguf")
    more, priority = page.get_by_role("button", name="More settings"), page.get_by_label("Priority")
    expect(priority).to_be_hidden()
    more.click()
    expect(priority).to_have_attribute("placeholder", "Default: 0")
    priority.fill("99")
    expect(priority).to_have_attribute("aria-invalid", "true")
    expect(more).to_contain_text("1 set")
    expect(more).to_contain_text("Refused")
    keep(page, "form-refused")
    more.click()
    expect(priority).to_be_hidden()
    page.get_by_role("button", name="Create").click()
    expect(priority).to_be_focused()
    expect(page.get_by_text("from -10 to 10").first).to_be_visible()
    server.request("DELETE", "/api/v1/instances/taken")


def test_what_makes_it_ready_early_is_set_and_taken_away(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    create_fake(server, tmp_path, "warm", start=False)
    page = windows(server, path="#/instances/warm/edit")
    field, save = page.get_by_label("Warm-up"), page.get_by_role("button", name="Save")
    unfold(page)
    page.get_by_role("switch", name="Preload").check(force=True)
    field.fill('{"body": {"query": "x"}}')
    save.click()
    expect(page.get_by_text("needs a 'path'").first).to_be_visible()
    field.fill('{"body": {"prompt": "x"}}')
    save.click()
    expect(page.get_by_role("heading", name="warm", level=1, exact=True)).to_be_visible()
    options = server.instance("warm")["options"]
    assert (options["preload"], options["warm_up"]) == (True, {"body": {"prompt": "x"}})

    server.request("POST", "/api/v1/instances/warm/start?wait=true")
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_text("Warmed up").first).to_be_visible()
    go(page, "instances/warm/edit")
    expect(field).to_have_value(re.compile('"prompt": "x"'))
    expect(page.get_by_text("3 set")).to_be_visible()
    unfold(page)
    field.fill("")
    page.get_by_role("switch", name="Preload").uncheck(force=True)
    save.click()
    expect(page.get_by_role("heading", name="warm", level=1, exact=True)).to_be_visible()
    assert not {"preload", "warm_up"} & server.instance("warm")["options"].keys()
    server.request("DELETE", "/api/v1/instances/warm")


def test_a_pasted_command_fills_the_form(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/new")
    dialog = paste(page, "llama-server -m /models/some.gguf \\\n  -c 4096 --flash-attn on stray")
    expect(dialog.get_by_role("alert")).to_contain_text("stray")
    dialog.get_by_role("button", name="Use the rest").click()

    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value(
        "/models/some.gguf"
    )
    expect(page.get_by_label("Context size")).to_have_value("4096")
    expect(page.get_by_role("combobox", name="flash_attn")).to_have_value("on")


def test_what_would_be_refused_is_said_while_one_types(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/new")
    page.get_by_label("Name", exact=True).fill("not a name!")

    refused = page.get_by_role("status").filter(has_text="This would be refused")
    expect(refused).to_contain_text("not a name!")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("not a name!")


def test_a_blank_form_waits_for_a_model(server: Served, windows: Windows, tiny_model: Path) -> None:
    page = windows(server, path="#/new")
    refused = page.get_by_role("status").filter(has_text="This would be refused")
    expect(page.get_by_text("Choose a model to see the command")).to_be_visible()
    keep(page, "new-blank")
    page.get_by_label("Name", exact=True).fill("bad name!")
    expect(refused).to_contain_text("bad name!")
    page.get_by_label("Name", exact=True).fill("waits")
    expect(page.get_by_text("Choose a model to see the command")).to_be_visible()
    expect(refused).to_have_count(0)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("names no model")
    page.get_by_role("combobox", name="Engine").click()
    page.get_by_role("option", name="Any command").click()
    expect(page.get_by_text("Enter a command to see how it will run")).to_be_visible()

    body = {"model": str(tiny_model)}
    server.request("POST", "/api/v1/instances/waits?start=false", body)
    go(page, "instances/waits/edit")
    page.get_by_role("combobox", name="Model", exact=True).fill("")
    expect(refused).to_contain_text("names no model")
    server.request("DELETE", "/api/v1/instances/waits")


def test_several_at_once(server: Served, windows: Windows, tmp_path: Path) -> None:
    for name, group in (("a-one", "left"), ("a-two", "left"), ("b-one", "right")):
        create_fake(server, tmp_path, name, start=False, group=group)
    page = windows(server)
    rows = page.get_by_role("row")
    expect(rows).to_have_count(4)  # with its head

    page.get_by_label("Search instances").fill("a-")
    expect(rows).to_have_count(3)
    page.get_by_label("Select all").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Start selected", exact=True).click()
    expect(page.get_by_text("Running", exact=True)).to_have_count(2)
    assert server.instance("b-one")["state"] == "stopped"

    page.get_by_label("Search instances").fill("")
    page.get_by_text("Down", exact=True).click()
    expect(page.get_by_role("link", name="b-one")).to_be_visible()
    expect(rows).to_have_count(2)
    page.get_by_text("All", exact=True).click()
    page.get_by_role("combobox", name="Group").click()
    page.get_by_role("option", name="left").click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Stop selected").click()
    expect(page.get_by_text("Stopped", exact=True)).to_have_count(2)
    page.get_by_role("button", name="Delete selected").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No matches")).to_be_visible()
    server.request("DELETE", "/api/v1/instances/b-one")


def test_definitions_leave_and_come_back(server: Served, windows: Windows, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "kept", start=False, group="carried")
    page = windows(server)
    page.get_by_role("button", name="Definitions").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export all").click()
    file = tmp_path / "set.json"
    download.value.save_as(file)
    assert "kept" in json.dumps(json.loads(file.read_text()))
    assert server.request("DELETE", "/api/v1/instances/kept").status_code in (200, 204)
    expect(page.get_by_role("heading", name="No instances yet")).to_be_visible()

    page.get_by_role("button", name="Definitions").click()
    page.get_by_role("menuitem", name="Import").click()
    page.locator("input[type=file]").set_input_files(file)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("New: kept")).to_be_visible()
    dialog.get_by_role("button", name="Import").click()

    expect(page.get_by_role("link", name="kept")).to_be_visible()
    assert server.instance("kept")["options"]["group"] == "carried"
    server.request("DELETE", "/api/v1/instances/kept")


def test_with_the_keyboard_alone(server: Served, windows: Windows, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "keyed", start=False)
    page = windows(server)
    expect(page.get_by_role("link", name="keyed")).to_be_visible()
    page.locator("body").press("Tab")
    expect(page.get_by_role("button", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()

    start = page.get_by_role("button", name="Start keyed")
    for _ in range(20):
        page.keyboard.press("Tab")
        if start.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="More actions for keyed")).to_be_focused()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu")
    expect(menu).to_be_visible()
    expect(page.locator("[role=menu]:focus-within")).to_be_visible()
    drawn(page)
    page.keyboard.press("ArrowDown")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")  # round to the last
    expect(menu.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert server.instance("keyed")["state"] == "ready"
    server.request("DELETE", "/api/v1/instances/keyed")


def test_an_engines_own_page_can_not_act_as_the_user(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    create_fake(server, tmp_path, "paged")
    page = windows(server)
    page.get_by_role("button", name="More actions for paged").click()
    with page.context.expect_page() as opened:
        page.get_by_role("menuitem", name="Open the engine's page").click()
    other = opened.value
    other.wait_for_url("**/page/**")

    assert other.evaluate("self.origin") == "null"
    refused = other.evaluate(
        "url => fetch(url, {credentials: 'include'}).then(a => a.status, () => 'not sent')",
        f"{server.url}/api/v1/instances",
    )
    assert refused in (403, "not sent")
    server.request("DELETE", "/api/v1/instances/paged")


def test_opened_by_its_address(server: Served, windows: Windows) -> None:
    page = windows(server)
    go(page, "instances/never-was")

    expect(page.get_by_role("heading", name="This instance does not exist")).to_be_visible()


def test_any_program_is_made_by_its_own_form(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/new")
    preview = page.get_by_role("status", name="Preview")
    page.get_by_label("Name", exact=True).fill("program")
    page.get_by_role("combobox", name="Engine").click()
    page.get_by_role("option", name="Any command").click()
    expect(page.get_by_label("Context size")).to_have_count(0)
    paste(page, f"{sys.executable} -m http.server --port 8000")
    expect(page.get_by_label("command", exact=True)).to_have_value(sys.executable)
    page.get_by_label("health_path", exact=True).fill("none")
    expect(preview).to_contain_text("http.server")
    page.get_by_label("Start it now").uncheck()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="program")).to_be_visible()
    made = server.instance("program")["options"]
    assert made == {
        "backend_type": "command",
        "backend_options": {
            "command": sys.executable,
            "args": ["-m", "http.server", "--port", "${PORT}"],
            "health_path": "none",
        },
    }


def test_a_number_is_stored_as_it_is_typed(server: Served, windows: Windows) -> None:
    """Key by key, as a person types; a field that drops the point makes 9 of 0.9."""
    page = windows(server, path="#/new")
    page.get_by_label("Name", exact=True).fill("typed")
    page.get_by_role("combobox", name="Model", exact=True).fill("/m.gguf")
    for option, typed in (("top_p", "0.9"), ("min_p", "0,05")):
        page.get_by_label("Find an option").fill(option)
        page.get_by_role("button", name=f"Set {option}", exact=True).click()
        page.get_by_label(option, exact=True).press_sequentially(typed)
        expect(page.get_by_label(option, exact=True)).to_have_value(typed)
    page.get_by_label("Idle after").press_sequentially("0.05")
    page.get_by_label("Layers on the GPU").press_sequentially("auto")
    page.get_by_label("Context size").press_sequentially("0.5")
    expect(page.get_by_text("Not a whole number")).to_be_visible()
    page.get_by_label("Context size").fill("512")
    page.get_by_label("Context size").press("ArrowUp")
    page.get_by_label("Start it now").uncheck()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="typed")).to_be_visible()
    options = server.instance("typed")["options"]
    assert options["backend_options"] == {
        "model": "/m.gguf",
        "top_p": 0.9, "min_p": 0.05, "gpu_layers": "auto", "ctx_size": 1536,
    }  # fmt: skip
    assert options["idle_timeout"] == 0.05
    server.request("DELETE", "/api/v1/instances/typed")


def test_an_option_that_the_engine_lacks_is_refused_with_the_near_one(
    server: Served, windows: Windows
) -> None:
    page = windows(server, path="#/new")
    dialog = paste(page, "llama-server -m /m.gguf --contextsize 4096")

    expect(dialog.get_by_role("alert")).to_contain_text("did you mean ctx_size?")


def test_a_pasted_command_of_another_engine_makes_an_instance_of_that(
    server: Served, windows: Windows
) -> None:
    page = windows(server, path="#/new")
    page.get_by_label("Name", exact=True).fill("of-vllm")
    page.get_by_role("combobox", name="Model", exact=True).fill("/of/another.gguf")
    paste(page, "vllm serve org/m --max-model-len 4096 --enforce-eager")

    expect(page.get_by_role("combobox", name="Engine")).to_have_value("vLLM")
    expect(page.get_by_role("textbox", name="Model", exact=True)).to_have_value("org/m")
    page.get_by_label("Start it now").uncheck()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="of-vllm")).to_be_visible()
    assert server.instance("of-vllm")["options"] == {
        "backend_type": "vllm",
        "backend_options": {"model": "org/m", "max_model_len": "4096", "enforce_eager": True},
    }
