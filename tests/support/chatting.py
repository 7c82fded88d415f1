"""How a person moves in the page's chat."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from support.fake_engine import create_fake
from support.served import Served
from support.window import Windows


def chat(windows: Windows, server: Served, name: str, **more: Any) -> Page:
    page = windows(server, path=f"#/chat?model={name}", **more)
    answers_next(page, name)
    return page


def answers_next(page: Page, name: str) -> None:
    expect(page.get_by_role("combobox", name="Instance")).to_have_value(re.compile(name))


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")


def answers(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=f"{name} said")


def answered(page: Page) -> None:
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def history(page: Page) -> Locator:
    return page.get_by_role("region", name="Earlier chats")


def fake(server: Served, folder: Path, name: str, says: list[Any], **more: Any) -> Any:
    return create_fake(server, folder, name, environment={"SAYS": json.dumps(says)}, **more)
