"""Text of others is shown, and nothing more: names, logs, answers, a model's own header."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from support.fake_engine import create_fake
from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, data_folder, serve
from support.window import Windows, go

IMAGE = '<img src="https://evil.example/x" onerror="window.hit = 1">'
SCRIPT = "<script>window.hit = 1</script>"
LINK = '"><a href="javascript:window.hit=1" autofocus onfocus="window.hit=1">a</a>'
TRIES = (IMAGE, SCRIPT, LINK)
MARKDOWN = f"""{IMAGE}

{SCRIPT}

[a link](javascript:window.hit=1) [data](data:text/html,<script>window.hit=1</script>)

![a picture](https://evil.example/pixel.png?what=was-said)

<https://other.example/page>

```html" onclick="window.hit=1
{SCRIPT}
```
"""

FORMULAS = r"""
$x$ $\href{javascript:window.hit=1}{a}$ $\url{javascript:window.hit=1}$
$\includegraphics{https://evil.example/x}$ $\htmlData{x=1}{b}$ $\htmlId{root}{b}$
$\htmlStyle{position:fixed}{c}$ $\text{<img src=x onerror=window.hit=1>}$ $\rule{9999em}{9999em}$

$$\boxed{\fcolorbox{red}{blue}{d}}$$

$\def\a{\a\a}\a$
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    models = folder / "models"
    models.mkdir()
    shape = Shape(name=IMAGE, template=f"{SCRIPT}{{{{ messages }}}}")
    write_tiny_gguf(models / "<img src=x onerror=window.hit=1>.gguf", shape)
    with serve(data_folder(folder, f"models: {{folders: [{models}]}}")) as served:
        environment = {
            "SAYS": json.dumps([{"reasoning_content": IMAGE}, {"content": MARKDOWN}]),
            "LOGS": "\n".join(f"error: {text}" for text in TRIES),
            "EVIL": SCRIPT,
        }
        create_fake(served, folder, "evil", environment=environment, group=IMAGE, aliases=["e"])
        key = {"name": SCRIPT, "permission_mode": "allow_all"}
        assert served.request("POST", "/api/v1/auth/keys", key).status_code == 201
        yield served


@pytest.fixture
def page(server: Served, windows: Windows) -> Iterator[Page]:
    """Signed in; in the end nothing has run, and no other host was asked for anything."""
    page = windows(server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert page.evaluate("window.hit") is None
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []


def test_groups_and_names(page: Page) -> None:
    row = page.get_by_role("row").filter(has_text="evil")
    expect(row).to_contain_text(IMAGE)
    page.get_by_role("combobox", name="Group").click()
    page.get_by_role("option", name=IMAGE).click()
    expect(row).to_be_visible()

    go(page, "new")
    for text in TRIES:
        page.get_by_label("Name", exact=True).fill(text)
        expect(page.get_by_role("status").filter(has_text="would be refused")).to_contain_text(
            text[:20]
        )
    go(page, f"instances/{quote(IMAGE, safe='')}")
    expect(page.get_by_role("heading", name=IMAGE)).to_be_visible()
    go(page, f"no/such/{IMAGE}")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_definitions(page: Page) -> None:
    go(page, "instances/evil/edit")
    expect(page.get_by_role("heading", name="Edit evil")).to_be_visible()
    expect(page.get_by_label("Group")).to_have_value(IMAGE)
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("any")


def test_logs(page: Page) -> None:
    go(page, "instances/evil?tab=log")
    log = page.get_by_role("region", name="Log of evil")
    for text in TRIES:
        expect(log).to_contain_text(f"error: {text}")
    assert log.locator("img, script, a").count() == 0


def test_an_answer(page: Page) -> None:
    go(page, "chat?model=evil")
    page.get_by_label("Message").fill(f"{IMAGE} {LINK}")
    page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("article", name="evil said")
    expect(answer).to_contain_text("[image: a picture, https://evil.example/pixel.png")
    expect(page.get_by_role("article", name="You said")).to_contain_text(IMAGE)

    assert answer.locator("img, script, iframe, style, [onclick], [onerror]").count() == 0
    links = {
        link.inner_text(): link.get_attribute("href") or "" for link in answer.locator("a").all()
    }
    assert links["a link"] == links["data"] == ""
    assert links["https://other.example/page"] == "https://other.example/page"
    for link in answer.locator("a").all():
        assert "noopener" in (link.get_attribute("rel") or "")
    answer.get_by_text("a link").click()
    answer.get_by_text("Reasoning").click()
    expect(answer).to_contain_text('onerror="window.hit = 1">')


def test_a_formula(server: Served, page: Page, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "tex", environment={"SAYS": json.dumps([{"content": FORMULAS}])})
    go(page, "chat?model=tex")
    page.get_by_label("Message").fill("Formulas")
    page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("article", name="tex said")
    expect(answer.locator("math").first).to_be_visible()

    drawn = answer.locator("math")
    assert drawn.count() == 10
    assert (
        drawn.locator("a, img, script, [href], [src], [style], [id], [class], [data-x]").count()
        == 0
    )
    expect(answer.locator("code").last).to_have_text(r"\def\a{\a\a}\a")
    sizes = answer.locator("math *").evaluate_all(
        "found => found.map(one => one.getBoundingClientRect().height)"
    )
    assert max(sizes) < 2000


def test_a_models_header_and_file(page: Page) -> None:
    go(page, "models")
    card = page.get_by_role("article").filter(has_text="<img src=x")
    card.get_by_role("button", name="Show details").click()
    expect(card).to_contain_text(IMAGE)
    card.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete <img src=x onerror")
    page.keyboard.press("Escape")
    card.get_by_role("link", name="Create instance").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("img-src-x-onerror-window.hit-1-")


def test_keys(page: Page) -> None:
    go(page, "keys")
    expect(page.get_by_role("article")).to_contain_text(SCRIPT)
    page.get_by_role("button", name=f"Revoke {SCRIPT}").click()
    expect(page.get_by_role("dialog")).to_contain_text(SCRIPT)
