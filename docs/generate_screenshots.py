"""Makes the pictures of docs/web; needs Chromium."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples")]

from playwright.sync_api import Browser, Page, sync_playwright
from server import model_path

from support.served import Served, data_folder, serve
from support.window import ARGS, go, sign_in

WEB = ROOT / "docs" / "web"
SIZE = {"width": 1280, "height": 720}
QUESTION = "Explain what a llama is in three short points, as a Markdown list."


def define(server: Served) -> None:
    model = str(model_path())
    for name, more in {
        "smollm2": {"ctx_size": 2048, "group": "chat"},
        "smollm2-long": {"ctx_size": 8192, "group": "chat"},
        "small-helper": {"ctx_size": 512, "group": "tools"},
        "draft": {"ctx_size": 512, "extra_args": ["--no-such-option"], "group": "tools"},
    }.items():
        starts = name not in ("smollm2-long",)
        body = {"model": model, **more}
        server.request("POST", f"/api/v1/instances/{name}?start={starts}&wait=true", body)
    for words in ("Hello!", "Name three animals.", "What is a llama?", "Say one word.") * 2:
        messages = [{"role": "user", "content": words}]
        ask = {"model": "smollm2", "max_tokens": 40, "messages": messages}
        server.request("POST", "/v1/chat/completions", ask).raise_for_status()


def opened(browser: Browser, server: Served, scheme: str) -> Page:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{server.url}/#/instances")
    sign_in(page, server.key)
    return page


def keep(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.screenshot(path=WEB / f"{name}.jpg", type="jpeg", quality=80)


def main() -> None:
    WEB.mkdir(exist_ok=True)
    settings = f"{{models: {{folders: [{model_path().parent}]}}}}"
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(data_folder(Path(folder), settings)) as server,
        sync_playwright() as playwright,
    ):
        define(server)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        page = opened(browser, server, "light")
        page.get_by_role("link", name="smollm2", exact=True).wait_for()
        page.get_by_text("2 running").wait_for()
        keep(page, "instances")
        go(page, "dashboard")
        page.get_by_role("slider").first.wait_for()
        keep(page, "dashboard")
        page = opened(browser, server, "dark")
        go(page, "chat?model=smollm2")
        page.get_by_placeholder("Write a message").fill(QUESTION)
        page.get_by_role("button", name="Send").click()
        page.get_by_text("per second, first").wait_for()
        keep(page, "chat")
        browser.close()


if __name__ == "__main__":
    main()
