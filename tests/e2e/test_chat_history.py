"""Earlier chats: found, renamed, exported and imported; kept by key, and from earlier versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from support.chatting import answered, answers, chat, fake, history, say
from support.served import Served, data_folder, serve
from support.window import PHONE, Windows, go, sign_in

# As the first version of the page kept a chat.
FORMER = """() => new Promise((done, failed) => {
  const asked = indexedDB.open("llamactl", 1);
  asked.onupgradeneeded = () =>
    asked.result.createObjectStore("conversations", { keyPath: "id" });
  asked.onerror = failed;
  asked.onsuccess = () => {
    const change = asked.result.transaction("conversations", "readwrite");
    change.objectStore("conversations").put({
      id: "old", title: "From before", model: "one", at: Date.now(),
      params: { system: "", temperature: "", top_p: "", max_tokens: "" },
      messages: [{ role: "user", text: "Old question" }, { role: "assistant", text: "Old answer" }],
    });
    change.oncomplete = () => { asked.result.close(); done(); };
  };
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("history")
    with serve(data_folder(folder, "")) as served:
        fake(served, folder, "one", [{"content": "An answer."}])
        yield served


def talked(page: Page, text: str) -> None:
    page.get_by_role("button", name="New chat").click()
    say(page, text)
    answered(page)
    expect(answers(page, "one")).to_contain_text("An answer.")


def titles(page: Page) -> list[str]:
    rows = history(page).get_by_role("group", name="Today")
    return [row.get_attribute("title") or "" for row in rows.locator("button[title]").all()]


def test_found_opened_renamed_and_deleted(server: Served, windows: Windows) -> None:
    page = chat(windows, server, "one")
    talked(page, "How do llamas sleep?")
    talked(page, "What do camels eat?")
    earlier = history(page)
    assert titles(page) == ["What do camels eat?", "How do llamas sleep?"]

    earlier.get_by_label("Search chats").fill("answer LLAMAS")
    expect(earlier.get_by_role("button", name="What do camels eat?", exact=True)).to_be_hidden()
    earlier.get_by_label("Search chats").fill("no such thing")
    expect(earlier.get_by_role("status")).to_contain_text("No chat has these words")
    earlier.get_by_label("Search chats").fill("")

    earlier.get_by_role("button", name="Rename How do llamas sleep?").click()
    title = earlier.get_by_label("New title of How do llamas sleep?")
    title.fill("Sleep")
    title.press("Enter")
    earlier.get_by_role("button", name="Sleep", exact=True).click()
    expect(page.get_by_role("article", name="You said")).to_contain_text("How do llamas sleep?")
    earlier.get_by_role("button", name="Delete Sleep").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete chat").click()
    expect(page.get_by_text("Send a message to one")).to_be_visible()

    page.reload()
    expect(earlier.get_by_role("button", name="What do camels eat?", exact=True)).to_be_visible()
    assert titles(page) == ["What do camels eat?"]


def test_on_a_phone_they_are_in_a_drawer(server: Served, windows: Windows) -> None:
    page = chat(windows, server, "one", viewport=PHONE)
    talked(page, "A short question")
    expect(history(page)).to_be_hidden()
    page.get_by_role("button", name="New chat").click()
    page.get_by_role("button", name="Earlier chats").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="A short question", exact=True).click()
    expect(drawer).to_be_hidden()
    expect(page.get_by_role("article", name="You said")).to_be_visible()


def test_kept_by_key_and_cleared_at_sign_out(server: Served, windows: Windows) -> None:
    key = server.request(
        "POST", "/api/v1/auth/keys", {"name": "laptop", "permission_mode": "allow_all"}
    ).json()["key"]
    page = chat(windows, server, "one")
    talked(page, "A secret of the first key")

    def sign_out(*, clear: bool) -> None:
        page.get_by_role("button", name="Sign out").click()
        dialog = page.get_by_role("dialog")
        if clear:
            dialog.get_by_label("Also delete this key's chats").check()
        dialog.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Key", exact=True)).to_be_visible()

    sign_out(clear=False)
    sign_in(page, key)
    expect(history(page)).to_contain_text("No chats in this browser.")
    talked(page, "Of the second key")
    sign_out(clear=True)
    sign_in(page, server.key)
    go(page, "chat")
    expect(history(page)).to_contain_text("A secret of the first key")
    sign_out(clear=False)
    sign_in(page, key)
    expect(history(page)).to_contain_text("No chats in this browser.")


def test_exported_and_imported(server: Served, windows: Windows, tmp_path: Path) -> None:
    page = chat(windows, server, "one")
    talked(page, "To take with me")
    with page.expect_download() as download:
        history(page).get_by_role("button", name="Export all").click()
    download.value.save_as(tmp_path / "chats.json")

    other = chat(windows, server, "one")

    def bring(file: Path | FilePayload) -> None:
        with other.expect_file_chooser() as chooser:
            history(other).get_by_role("button", name="Import").click()
        chooser.value.set_files(file)

    bring({"name": "a.json", "mimeType": "application/json", "buffer": b'{"chats": 1}'})
    expect(other.get_by_role("alert")).to_contain_text("not a file of chats")
    bring(tmp_path / "chats.json")
    history(other).get_by_role("button", name="To take with me", exact=True).click()
    expect(answers(other, "one")).to_contain_text("An answer.")
    assert "owner" not in json.loads((tmp_path / "chats.json").read_text())["chats"][0]


def test_chats_of_the_first_version_are_read(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    page.evaluate(FORMER)
    sign_in(page, server.key)
    go(page, "chat")
    history(page).get_by_role("button", name="From before", exact=True).click()
    expect(answers(page, "one")).to_contain_text("Old answer")
    say(page, "A new question")
    expect(answers(page, "one").last).to_contain_text("An answer.")
    page.reload()
    history(page).get_by_role("button", name="From before", exact=True).click()
    expect(page.get_by_role("article", name="You said").last).to_contain_text("A new question")
