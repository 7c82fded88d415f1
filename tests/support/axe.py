"""What axe finds on a page, and what sticks out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "webui" / "node_modules" / "axe-core" / "axe.min.js"
# what fades in has less contrast until it is there, and begins to in the next frame
_STILL = """
new Promise(then => requestAnimationFrame(() => requestAnimationFrame(then))).then(() =>
  Promise.all(document.getAnimations()
    .filter(one => one.effect.getComputedTiming().iterations !== Infinity)
    .map(one => one.finished.catch(() => undefined))
  ).then(() => undefined)
)
"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page, within: str = "body") -> list[str]:
    """`within`: a modal dialog, where the page behind it does not count."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    page.evaluate(_STILL)
    found: Any = page.evaluate(
        "([within, runOnly]) => axe.run(within, {runOnly}).then(found => found.violations)",
        [within, RULES],
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        for node in one["nodes"]
    ]


def sticks_out(page: Page) -> list[str]:
    """Does the page have to be moved sideways?"""
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"it is {wide} wide, of {seen} seen"] if wide > seen else []
