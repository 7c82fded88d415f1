"""The chat: stop, again, edit, settings, what is kept, what is copied, what a model thinks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, expect

from support.chatting import answered, answers, chat, fake, history, say
from support.fake_engine import tell
from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, data_folder, serve
from support.window import Windows

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("chat"), "{}")) as served:
        yield served


@pytest.fixture(scope="module")
def endless(server: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real model that says one word until it is told to stop, or has said enough."""
    path = tmp_path_factory.mktemp("model") / "endless.gguf"
    write_tiny_gguf(path, Shape(says=262, word="again", context=8192))
    body = {"model": str(path), "ctx_size": 8192}
    assert server.request("POST", "/api/v1/instances/endless?start=false", body).status_code == 201
    return "endless"


def limit(page: Page, tokens: int) -> None:
    page.get_by_role("button", name="Chat settings").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Max tokens").fill(str(tokens))
    drawer.get_by_label("System prompt").fill("Say again.")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_it_starts_what_is_asked_and_can_be_stopped(
    server: Served, windows: Windows, endless: str
) -> None:
    page = chat(windows, server, endless)
    say(page, "Go on.")
    coming = page.get_by_role("article", name="endless is responding")
    expect(coming).to_contain_text("againagain")
    page.get_by_role("button", name="Stop").click()

    expect(answers(page, endless)).to_contain_text("againagain")
    answered(page)
    assert server.instance(endless)["state"] == "ready"


def test_again_edited_and_kept_in_this_browser(
    server: Served, windows: Windows, endless: str
) -> None:
    page = chat(windows, server, endless)
    limit(page, 5)
    say(page, "First question")
    expect(answers(page, endless)).to_contain_text("5 tokens")
    limit(page, 7)
    page.get_by_role("button", name="Regenerate").click()
    expect(answers(page, endless)).to_contain_text("7 tokens")

    page.get_by_role("button", name="Edit prompt").click()
    page.get_by_role("textbox", name="Edit prompt").fill("Another question")
    page.get_by_role("button", name="Save and send").click()
    expect(page.get_by_role("article", name="You said")).to_contain_text("Another question")
    answered(page)

    page.reload()
    earlier = history(page)
    earlier.get_by_role("button", name="First question", exact=True).click()
    expect(page.get_by_role("article", name="You said")).to_contain_text("Another question")
    earlier.get_by_role("button", name="Delete First question").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete chat").click()
    expect(earlier.get_by_text("No chats in this browser.")).to_be_visible()


def test_copied_and_exported(
    server: Served, windows: Windows, endless: str, tmp_path: Path
) -> None:
    page = chat(windows, server, endless)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    limit(page, 3)
    say(page, "It's a question")
    answered(page)

    def share(item: str) -> None:
        page.get_by_role("button", name="Share this chat").click()
        page.get_by_role("menuitem", name=item).click()

    share("Copy as curl")
    curl = page.evaluate("navigator.clipboard.readText()")
    assert f"curl {server.url}/v1/chat/completions" in curl
    assert '"max_tokens": 3' in curl
    assert server.key not in curl
    share("Copy as Python")
    python = page.evaluate("navigator.clipboard.readText()")
    compile(python, "copied", "exec")
    assert 'model="endless"' in python
    for item, suffix in (("Export as Markdown", "md"), ("Export as JSON", "json")):
        with page.expect_download() as download:
            share(item)
        download.value.save_as(tmp_path / suffix)
        assert "It's a question" in (tmp_path / suffix).read_text()
    assert json.loads((tmp_path / "json").read_text())["chats"][0]["model"] == endless


def test_what_it_thinks_is_folded(server: Served, windows: Windows, tmp_path: Path) -> None:
    says = [{"reasoning_content": "Deep thoughts."}, {"content": "**Hello.**"}]
    fake(server, tmp_path, "thinker", says)
    page = chat(windows, server, "thinker")
    say(page, "Think.")

    answer = answers(page, "thinker")
    expect(answer.get_by_text("Hello.")).to_be_visible()
    expect(answer.get_by_text("Deep thoughts.")).to_be_hidden()
    answer.get_by_text("Reasoning").click()
    expect(answer.get_by_text("Deep thoughts.")).to_be_visible()


def test_how_far_a_start_is_can_be_seen(server: Served, windows: Windows, tmp_path: Path) -> None:
    fake(server, tmp_path, "slow", [{"content": "At last."}], model="slow", start=False)
    page = chat(windows, server, "slow")
    say(page, "Are you there?")
    expect(page.get_by_role("status").get_by_text("slow is starting")).to_be_visible()
    tell(server.instance("slow"), "loaded")

    expect(answers(page, "slow")).to_contain_text("At last.")


def test_images_where_the_model_sees(server: Served, windows: Windows, tmp_path: Path) -> None:
    fake(server, tmp_path, "seeing", [{"content": "A dot."}], mmproj="/none")
    page = chat(windows, server, "seeing")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    dot: FilePayload = {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL}
    chooser.value.set_files([dot])
    expect(page.get_by_role("img", name="Attached")).to_be_visible()
    with page.expect_request("**/api/v1/chat/completions") as asked:
        say(page, "What is it?")
    body: Any = asked.value.post_data_json
    content = body["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": "What is it?"}
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
    expect(answers(page, "seeing")).to_contain_text("A dot.")


def test_what_went_wrong_is_said(server: Served, windows: Windows, tmp_path: Path) -> None:
    fake(server, tmp_path, "mortal", [{"content": "Half"}, ["die"]])
    page = chat(windows, server, "mortal")
    say(page, "Speak.")

    expect(answers(page, "mortal")).to_contain_text("Half")
    expect(answers(page, "mortal").get_by_role("alert")).to_be_visible()
    answered(page)
