"""An instance is put into a container on the page, changed there, and taken out again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from support.containers import IMAGE, Daemon
from support.served import Served, data_folder, serve
from support.window import Windows, go, paste

BY_DEFAULT = "backends: {llama-cpp: {docker: {enabled: true, image: 'ours:1'}}}"
ARGUMENTS = "Arguments of the container engine"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Nothing is started here, so that no container engine is needed."""
    with serve(data_folder(tmp_path_factory.mktemp("boxes"), "")) as served:
        yield served


def section(page: Page) -> Locator:
    return page.get_by_role("group", name="Container", exact=True)


def preview(page: Page) -> Locator:
    return page.get_by_role("status", name="Preview")


def choose(page: Page, what: str) -> None:
    section(page).get_by_role("radio", name=f"A {what}").check()


def defined(server: Served, name: str, body: dict[str, Any]) -> None:
    made = server.request("POST", f"/api/v1/instances/{name}?start=false", body)
    assert made.status_code == 201, made.text


def stored(server: Served, name: str) -> Any:
    options = server.instance(name)["options"]
    return {key: options[key] for key in ("container", "docker_enabled") if key in options}


def test_one_is_run_in_docker_and_then_as_a_process(
    docker_daemon: Daemon, windows: Windows, tmp_path: Path, tiny_model: Path
) -> None:
    settings = f"models: {{folders: [{tiny_model.parent}]}}"
    with serve(data_folder(tmp_path, settings), docker_daemon.engine.environment) as server:
        page = windows(server, path="#/new")
        page.get_by_label("Name", exact=True).fill("boxed")
        page.get_by_role("combobox", name="Model", exact=True).fill(str(tiny_model))
        choose(page, "container")
        expect(page.get_by_text("Enter the image of the container")).to_be_visible()
        section(page).get_by_label("Image", exact=True).fill("not-here:1")
        expect(preview(page)).to_contain_text("its image is not on this machine")
        section(page).get_by_label("Image", exact=True).fill(IMAGE)
        expect(preview(page).get_by_text("A start would fail now")).to_have_count(0)
        expect(preview(page)).to_contain_text("docker create")
        page.get_by_role("button", name="Create").click()

        expect(page.get_by_role("heading", name="boxed")).to_be_visible()
        expect(page.get_by_text("Running", exact=True)).to_be_visible()
        expect(page.get_by_text(f"Runs the image {IMAGE}")).to_be_visible()
        assert len(docker_daemon.engine.containers()) == 1
        assert stored(server, "boxed") == {"container": {"image": IMAGE}}

        page.get_by_role("link", name="Edit").click()
        choose(page, "process")
        expect(page.get_by_text("Changes: container")).to_be_visible()
        expect(page.get_by_text("The instance will be restarted")).to_be_visible()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Runs the image")).to_have_count(0)
        server.until_row("boxed", "boxed as a process", lambda row: "(docker)" not in row["engine"])
        server.until("boxed", "ready")
        assert stored(server, "boxed") == {}
        assert docker_daemon.engine.containers() == []


def test_every_field_of_the_form_is_stored(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    page = windows(server, path="#/new")
    page.get_by_label("Name", exact=True).fill("full")
    page.get_by_role("combobox", name="Model", exact=True).fill("/m.gguf")
    choose(page, "container")
    box = section(page)
    for label, option in (
        ("Download the image", "If the server lacks it"),
        ("Container engine", "Podman"),
    ):
        box.get_by_role("combobox", name=label).click()
        page.get_by_role("option", name=option, exact=True).click()
    for number in (1, 2):
        box.get_by_role("button", name="Add a mount").click()
        expect(box.get_by_label(f"Path on this machine, mount {number}")).to_be_focused()
    box.get_by_label("Writable, mount 2").check()
    box.get_by_role("button", name="Add a variable").click()
    for label, text in {
        "Image": "llama-server:local", "GPUs": "device=0,1", ARGUMENTS: "--ipc=host -m '8 g'",
        "Path on this machine, mount 1": str(tmp_path),
        "Path on this machine, mount 2": str(tmp_path),
        "Path in the container, mount 2": "/root", "Name, variable 1": "HF_TOKEN",
        "Value, variable 1": "hf_secret=1",
    }.items():  # fmt: skip
        box.get_by_label(label, exact=True).fill(text)
    expect(preview(page)).to_contain_text("podman create")
    expect(preview(page)).to_contain_text("-e HF_TOKEN")
    page.get_by_label("Start it now").uncheck()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_text("Runs the image llama-server:local, by Podman")).to_be_visible()
    made = stored(server, "full")["container"]
    assert [*made["env"]] == ["HF_TOKEN"] and "hf_secret" not in made.pop("env")["HF_TOKEN"]
    assert made == {
        "image": "llama-server:local", "pull": "missing", "engine": "podman", "gpus": "device=0,1",
        "mounts": [str(tmp_path), f"{tmp_path}:/root:rw"], "args": ["--ipc=host", "-m", "8 g"],
    }  # fmt: skip
    server.request("DELETE", "/api/v1/instances/full")


def test_fields_that_are_emptied_are_removed_and_others_kept(
    server: Served, windows: Windows
) -> None:
    container = {
        "image": "e:1", "gpus": "all", "mounts": ["/a", "/b:/c:rw"], "env": {"A": "1"},
        "args": ["--label", "it's 2"],
    }  # fmt: skip
    defined(server, "full", {"model": "/m.gguf", "container": container})
    page = windows(server, path="#/instances/full/edit")
    box = section(page)
    expect(box.get_by_label(ARGUMENTS)).to_have_value("--label 'it'\\''s 2'")
    expect(box.get_by_label("Name, variable 1")).to_have_value("A")
    expect(page.get_by_text("No changes yet.")).to_be_visible()
    box.get_by_label("GPUs").fill("")
    box.get_by_label(ARGUMENTS).fill("")
    box.get_by_role("button", name="Remove mount 1").click()
    expect(box.get_by_role("button", name="Add a mount")).to_be_focused()
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("tab", name="Events")).to_be_visible()
    left = stored(server, "full")["container"]
    assert [*left.pop("env")] == ["A"]
    assert left == {"image": "e:1", "mounts": ["/b:/c:rw"]}
    server.request("DELETE", "/api/v1/instances/full")


@pytest.mark.parametrize(
    ("adds", "label", "text", "where", "says"),
    [("", "Image", "e 1", "", "must not contain spaces"), ("", "GPUs", "two", "", "a number, or"),
     ("", ARGUMENTS, "--rm", "", "llamactl sets it"),
     ("Add a mount", "Path in the container, mount 1", "/c", "More files and folders", "a slash"),
     ("Add a variable", "Name, variable 1", "A-B", "Variables in the container", "variable name")],
)  # fmt: skip
def test_what_is_refused_is_said_at_its_field(
    server: Served, windows: Windows, adds: str, label: str, text: str, where: str, says: str
) -> None:
    page = windows(server, path="#/new")
    choose(page, "container")
    box = section(page)
    box.get_by_label("Image", exact=True).fill("e:1")
    if adds:
        box.get_by_role("button", name=adds).click()
    box.get_by_label(label, exact=True).fill(text)

    around = box.get_by_role("group", name=where) if where else box
    expect(around.get_by_text(says)).to_be_visible()
    if not where:
        expect(box.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")


def test_the_settings_image_can_be_used_and_left(tmp_path: Path, windows: Windows) -> None:
    with serve(data_folder(tmp_path, BY_DEFAULT)) as server:
        defined(server, "usual", {"model": "/m.gguf"})
        page = windows(server, path="#/instances/usual/edit")
        box = section(page)
        expect(box.get_by_role("radio", name="A container")).to_be_checked()
        expect(box.get_by_label("Image", exact=True)).to_have_attribute(
            "placeholder", "From the settings: ours:1"
        )
        choose(page, "process")
        choose(page, "container")
        expect(page.get_by_text("No changes yet.")).to_be_visible()
        choose(page, "process")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("tab", name="Events")).to_be_visible()
        expect(page.get_by_text("Runs the image")).to_have_count(0)
        assert stored(server, "usual") == {"docker_enabled": False}
        go(page, "instances/usual/edit")
        expect(box.get_by_role("radio", name="A process")).to_be_checked()
        choose(page, "container")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Runs the image ours:1")).to_be_visible()
        assert stored(server, "usual") == {}


def test_what_was_typed_is_there_again_after_a_look_at_the_other(
    server: Served, windows: Windows
) -> None:
    """With the keyboard alone."""
    page = windows(server, path="#/new")
    choose(page, "container")
    image = section(page).get_by_label("Image", exact=True)
    image.fill("typed:1")
    section(page).get_by_role("radio", name="A container").focus()
    page.keyboard.press("ArrowUp")
    expect(image).to_have_count(0)
    page.keyboard.press("ArrowDown")
    expect(image).to_have_value("typed:1")


def test_a_pasted_docker_command_fills_the_form_for_its_image(
    server: Served, windows: Windows
) -> None:
    page = windows(server, path="#/new")
    dialog = paste(page, "docker run --rm -v /data:/models llama.cpp:server -m /models/m.gguf")
    dialog.get_by_label("Run it in a container of llama.cpp:server").check()
    dialog.get_by_role("button", name=re.compile("Use the rest|Fill in the form")).click()

    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("/data/m.gguf")
    expect(section(page).get_by_label("Image", exact=True)).to_have_value("llama.cpp:server")
    expect(preview(page)).to_contain_text("llama.cpp:server")
    expect(preview(page)).to_contain_text("--model /data/m.gguf")
