"""Answers: their versions, models, formulas and tool calls; stopped, continued, attached to."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from support.chatting import answered, answers, answers_next, chat, fake, history, say
from support.fake_engine import tell
from support.served import Served, data_folder, serve
from support.waits import until
from support.window import Windows, go, smollm2

PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
).decode()
# What pasting and dropping come to: files in a DataTransfer.
HAND_OVER = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const field = document.querySelector('[aria-label="Message"]');
  const more = { bubbles: true, cancelable: true };
  field.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, ...more })
    : new DragEvent(kind, { dataTransfer: data, ...more }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("answers")
    with serve(data_folder(folder, "")) as served:
        fake(served, folder, "one", [{"content": "By one."}], default_params={"top_k": 7})
        fake(served, folder, "two", [{"content": "By two."}])
        yield served


def test_each_answer_names_its_model_and_keeps_its_versions(
    server: Served, windows: Windows
) -> None:
    page = chat(windows, server, "one")
    say(page, "Who are you?")
    expect(answers(page, "one")).to_contain_text("By one.")
    page.get_by_role("combobox", name="Instance").click()
    page.get_by_role("option", name="two").click()
    page.get_by_role("button", name="Regenerate").click()
    expect(answers(page, "two")).to_contain_text("By two.")
    expect(answers(page, "one")).to_be_hidden()

    versions = answers(page, "two").get_by_role("group", name="Versions")
    expect(versions).to_contain_text("2 / 2")
    versions.get_by_role("button", name="Previous version").click()
    expect(answers(page, "one")).to_contain_text("1 / 2")
    page.get_by_role("button", name="Edit prompt").click()
    page.get_by_role("textbox", name="Edit prompt").fill("And you?")
    page.get_by_role("button", name="Save and send").click()
    said = page.get_by_role("article", name="You said")
    expect(said).to_contain_text("And you?")
    answered(page)
    said.get_by_role("button", name="Previous version").click()
    expect(said).to_contain_text("Who are you?")


def test_a_link_switches_the_model_of_an_open_chat(server: Served, windows: Windows) -> None:
    page = chat(windows, server, "one")
    say(page, "Hello")
    expect(answers(page, "one")).to_be_visible()
    for name in ("two", "one", "two"):
        go(page, f"chat?model={name}")
        answers_next(page, name)
    page.get_by_role("combobox", name="Instance").click()
    page.get_by_role("option", name="one").click()
    answers_next(page, "one")
    go(page, "chat?model=two")
    answers_next(page, "two")
    expect(answers(page, "one")).to_be_visible()
    say(page, "Hello again")
    expect(answers(page, "two")).to_be_visible()


def test_a_chat_that_is_opened_keeps_its_model(server: Served, windows: Windows) -> None:
    page = chat(windows, server, "one")
    say(page, "Hello")
    answered(page)
    page.get_by_role("button", name="New chat").click()
    go(page, "chat?model=two")
    answers_next(page, "two")
    history(page).get_by_role("button", name="Hello", exact=True).click()
    expect(answers(page, "one")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/chat$"))
    answers_next(page, "one")


def test_a_stopped_answer_is_marked_and_continued(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    says = [{"content": "Once upon"}, ["until", "go"], {"content": " a time"}]
    made = fake(server, tmp_path, "teller", says)
    page = chat(windows, server, "teller")
    say(page, "A story")
    expect(page.get_by_role("article", name="teller is responding")).to_contain_text("Once upon")
    page.get_by_role("button", name="Stop").click()
    expect(answers(page, "teller")).to_contain_text("Stopped")
    tell(made, "go")
    with page.expect_request("**/api/v1/chat/completions") as asked:
        page.get_by_role("button", name="Continue").click()
    body: Any = asked.value.post_data_json
    assert body["messages"][-1] == {"role": "assistant", "content": "Once upon"}
    # the engine repeats how the answer begins, as some versions of llama.cpp do
    expect(answers(page, "teller").get_by_text("Once upon a time", exact=True)).to_be_visible()
    expect(answers(page, "teller")).not_to_contain_text("Stopped")


def test_an_answer_at_its_limit_says_so(server: Served, windows: Windows, tmp_path: Path) -> None:
    fake(server, tmp_path, "cut", [{"content": "As much as"}, {"finish_reason": "length"}])
    page = chat(windows, server, "cut")
    say(page, "Speak")
    expect(answers(page, "cut")).to_contain_text("Max tokens reached")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def sampling(server: Served, name: str) -> dict[str, Any]:
    listed = server.request("GET", "/api/v1/chat/models").json()
    return next(row["sampling"] for row in listed if row["name"] == name)


def test_a_real_engine_continues(server: Served, windows: Windows, tmp_path: Path) -> None:
    body = {"model": str(smollm2()), "ctx_size": 512}
    assert server.request("POST", "/api/v1/instances/smollm2?wait=true", body).status_code == 201
    until("what samples", lambda: sampling(server, "smollm2"), lambda now: "temperature" in now)
    page = chat(windows, server, "smollm2")
    page.get_by_role("button", name="Chat settings").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("Temperature")).to_have_accessible_description(
        "Empty: 0.8, as the engine runs"
    )
    drawer.get_by_label("Temperature").fill("0")
    drawer.get_by_label("Max tokens").fill("6")
    page.keyboard.press("Escape")
    say(page, "Count from one to twenty, as a list of words.")
    answer = answers(page, "smollm2")
    expect(answer).to_contain_text("Max tokens reached")
    first = answer.locator("div").first.inner_text()
    page.get_by_role("button", name="Continue").click()
    answered(page)
    more = answer.locator("div").first.inner_text()
    assert more.startswith(first.rstrip()) and len(more) > len(first)
    assert more.count(first.strip()) == 1  # its beginning came once


def test_calls_of_tools_are_blocks(server: Served, windows: Windows, tmp_path: Path) -> None:
    def call(**function: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}

    says = [call(name="weather", arguments='{"city":'), call(arguments='"Lima"}')]
    fake(server, tmp_path, "caller", says)
    page = chat(windows, server, "caller")
    page.get_by_role("button", name="Chat settings").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Tools").fill("[")
    expect(drawer.get_by_text("Not sent: this must be a JSON list")).to_be_visible()
    tools = [{"type": "function", "function": {"name": "weather"}}]
    drawer.get_by_label("Tools").fill(json.dumps(tools))
    drawer.get_by_label("JSON schema").fill('{"type": "object"}')
    expect(drawer.get_by_text("Not sent")).to_be_hidden()
    page.keyboard.press("Escape")
    with page.expect_request("**/api/v1/chat/completions") as asked:
        say(page, "How is it in Lima?")
    body: Any = asked.value.post_data_json
    assert body["tools"] == tools
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    block = answers(page, "caller").get_by_role("region", name="Tool call: weather")
    expect(block.locator("pre")).to_have_text('{\n  "city": "Lima"\n}')


def test_what_samples_by_default_is_shown(server: Served, windows: Windows) -> None:
    page = chat(windows, server, "one")
    page.get_by_role("button", name="Chat settings").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("Top k")).to_have_accessible_description(
        "Empty: 7, the instance's default"
    )
    expect(drawer.get_by_label("Min p")).to_have_accessible_description(
        "Empty: the engine's default"
    )


def hand_over(page: Page, kind: str, *files: tuple[str, str, str]) -> None:
    page.evaluate(HAND_OVER, [kind, [list(file) for file in files]])


def test_files_are_pasted_and_dropped(server: Served, windows: Windows, tmp_path: Path) -> None:
    fake(server, tmp_path, "seeing", [{"content": "A dot."}], mmproj="/none")
    text = ("notes.py", "text/x-python", base64.b64encode(b"x = 1\n").decode())
    dot = ("dot.png", "image/png", PIXEL)
    page = chat(windows, server, "one")
    hand_over(page, "paste", text)
    expect(page.get_by_label("Message")).to_have_value("notes.py:\n\n```py\nx = 1\n```")
    hand_over(page, "paste", dot)
    expect(page.get_by_role("alert")).to_contain_text("dot.png: one doesn't see images")

    go(page, "chat?model=seeing")
    answers_next(page, "seeing")
    hand_over(page, "dragenter", dot)
    expect(page.get_by_text("Drop images or text files")).to_be_visible()
    hand_over(page, "drop", dot)
    expect(page.get_by_role("img", name="Attached")).to_be_visible()
    expect(page.get_by_text("Drop images or text files")).to_be_hidden()
    with page.expect_request("**/api/v1/chat/completions") as asked:
        page.get_by_role("button", name="Send").click()
    body: Any = asked.value.post_data_json
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]


MATH = r"""Inline $x^2$ and \(y\), for $5 or $10:

\[\int_0^1 \frac{1}{x}\,dx\]

$$\boxed{z}\;\color{red}{r}$$

`$code$` and $\nosuchcommand{1}$
"""


def test_formulas_are_drawn_when_there_are_some(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    fake(server, tmp_path, "mathematician", [{"content": MATH}])
    page = chat(windows, server, "one")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    say(page, "Words")
    expect(answers(page, "one")).to_be_visible()
    assert not [url for url in asked if "/math-" in url]

    go(page, "chat?model=mathematician")
    answers_next(page, "mathematician")
    say(page, "Formulas")
    answer = answers(page, "mathematician")
    expect(answer.locator("math")).to_have_count(4)
    expect(answer.locator("math[display=block]")).to_have_count(2)
    expect(answer.locator("math mfrac")).to_be_visible()
    expect(answer).to_contain_text("for $5 or $10")
    expect(answer.locator("code")).to_have_text(["$code$", r"\nosuchcommand{1}"])
    assert [url for url in asked if "/math-" in url]
