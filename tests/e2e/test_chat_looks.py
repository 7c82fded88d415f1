"""A long chat with all that there can be in one: axe finds nothing, and each view is a picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Page, expect

from support.axe import sticks_out, violations
from support.chatting import chat, fake, history
from support.served import Served, data_folder, serve
from support.window import PHONE, WIDE, Windows, keep

SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='120' height='80'>"
    "<rect width='120' height='80' fill='teal'/></svg>"
)
DIALOG = "[role=dialog]"
ANSWER = r"""The area is $A = \pi r^2$, and its derivative by $r$:

\[\frac{dA}{dr} = 2\pi r \qquad \sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}
\qquad \begin{pmatrix} a & b \\ c & d \end{pmatrix}\]

| radius | area | what it is like |
| ---: | ---: | --- |
| 1 | 3.14 | a plate |
| 2 | 12.57 | a round table for four people |

```python
def area(radius: float) -> float:
    return math.pi * radius**2  # a comment that is long enough to need a line of its own on phones
```

1. First, *measure*.
2. Then `area(2)`, or see [the page](https://example.org/).
"""


def turn(number: int, role: str, text: str, **more: object) -> dict[str, object]:
    parent = str(number - 1) if number > 1 else ""
    return {"id": str(number), "parent": parent, "role": role, "text": text, **more}


def file_of_chats() -> FilePayload:
    image = "data:image/svg+xml;base64," + base64.b64encode(SVG.encode()).decode()
    stats = {"tokens": 120, "tokens_s": 34.5, "first_s": 0.21}
    call = {"id": "c", "name": "weather", "arguments": '{"city": "Lima", "days": 3}'}
    turns = [
        turn(1, "user", "What is this, and how large?", images=[image]),
        turn(2, "assistant", ANSWER, model="geometer", stats=stats, reasoning="A circle, perhaps."),
        turn(3, "user", "A very long word: " + "long" * 80),
        turn(4, "assistant", "", model="caller-with-a-rather-long-name", calls=[call], stats=stats),
        turn(5, "user", "Go on."),
        turn(6, "assistant", "", model="geometer", fault="the engine was stopped"),
        turn(7, "assistant", "It is sunny and", model="geometer", cut="stopped", stats=stats),
    ]
    turns[6]["parent"] = "5"
    first = {"id": "1", "title": "Circles and the weather", "model": "geometer", "at": 1.0,
             "turns": turns, "tip": "7"}  # fmt: skip
    others = [
        {"id": str(n), "title": f"Chat {n} about something that has a long title",
         "model": "geometer", "at": 86_400_000 * n, "turns": [turn(1, "user", "x")], "tip": "1"}
        for n in range(2, 40, 9)
    ]  # fmt: skip
    data = json.dumps({"kind": "llamactl chats", "version": 2, "chats": [first, *others]})
    return {"name": "chats.json", "mimeType": "application/json", "buffer": data.encode()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("looks")
    with serve(data_folder(folder, "")) as served:
        fake(served, folder, "geometer", [{"content": "x"}], default_params={"temperature": 0.7})
        yield served


def at_rest(page: Page) -> None:
    """Without a tooltip of what the pointer is on."""
    page.mouse.move(0, 0)
    expect(page.get_by_role("tooltip")).to_have_count(0)


@pytest.mark.parametrize("size", ["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_long_chat(server: Served, windows: Windows, scheme: str, size: str) -> None:
    phone = size == "phone"
    page = chat(windows, server, "geometer", color_scheme=scheme, viewport=PHONE if phone else WIDE)
    earlier = page.get_by_role("dialog") if phone else history(page)
    if phone:
        page.get_by_role("button", name="Earlier chats").click()
    with page.expect_file_chooser() as chooser:
        earlier.get_by_role("button", name="Import").click()
    chooser.value.set_files(file_of_chats())
    found = {}
    circles = earlier.get_by_role("button", name="Circles and the weather", exact=True)
    expect(circles).to_be_visible()
    at_rest(page)
    found["history"] = violations(page, DIALOG if phone else "body")
    keep(page, f"chat-history-{scheme}-{size}")
    circles.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("math").first).to_be_visible()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    expect(page.get_by_text("Stopped", exact=True)).to_be_in_viewport()
    at_rest(page)
    found["end"] = violations(page) + sticks_out(page)
    keep(page, f"chat-end-{scheme}-{size}")
    page.evaluate("scrollTo(0, 120)")
    expect(page.get_by_role("combobox", name="Instance")).to_be_in_viewport()
    keep(page, f"chat-long-{scheme}-{size}")
    page.get_by_role("button", name="Chat settings").click()
    expect(page.get_by_role("dialog").get_by_text("the instance's default")).to_be_visible()
    at_rest(page)
    found["settings"] = violations(page, DIALOG)
    keep(page, f"chat-settings-{scheme}-{size}")

    assert {name: rows for name, rows in found.items() if rows} == {}
