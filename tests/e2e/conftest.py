"""A browser for each module; what it complains about fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from support.window import ARGS, WAIT_MS, Windows


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a module alone: while it runs, no other event loop can in this thread."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("LLAMACTL_CI"):
            pytest.fail("Chromium is not installed (apt-get install chromium)")
        pytest.skip("needs Chromium (apt-get install chromium)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def windows(chromium: Browser) -> Iterator[Windows]:
    made = Windows(chromium)
    yield made
    made.close()
    assert made.complaints == []
