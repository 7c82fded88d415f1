"""Does the page stay quick? A thousand instances and a hundred events a second, in Chromium.

Prints how soon the list can be used, and the longest that a key or a wheel waited for its frame.
Long tasks and event timing are the browser's own: https://w3c.github.io/longtasks/ and
https://w3c.github.io/event-timing/. It shares the processors with the server that makes the events.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("tests", "examples")]

from playwright.sync_api import Page, sync_playwright

from support.served import Served, data_folder, serve
from support.window import ARGS, sign_in

COUNT, RESTLESS = 1000, 40  # instances; those that start and fail again and again
PER_S, SECONDS = 100, 30
OBSERVE = """() => {
  window.seen = {tasks: [], waits: []};
  const note = (type, list, value, more) => new PerformanceObserver(entries => {
    for (const entry of entries.getEntries()) list.push(value(entry));
  }).observe({type, buffered: true, ...more});
  note("longtask", seen.tasks, entry => [entry.startTime, entry.duration], {});
  note("event", seen.waits, entry => [entry.name, entry.duration], {durationThreshold: 16});
}"""


def define(server: Served) -> None:
    names = {f"model-{n:04d}": {"model": "/nowhere.gguf", "group": "many"} for n in range(COUNT)}
    ends = {"command_override": "/bin/false", "model": "any", "auto_restart": False}
    body = {"instances": {**names, **{f"model-{n:04d}": ends for n in range(RESTLESS)}}}
    server.request("PUT", "/api/v1/config/instances", body).raise_for_status()


def disturb(server: Served, over: threading.Event) -> int:
    """Starts what fails at once, so that events come; returns how many came."""

    def last() -> int:
        events = server.request("GET", "/api/v1/activity?limit=1").json()
        return int(events[-1]["id"]) if events else 0

    def start(name: str) -> None:
        server.request("POST", f"/api/v1/instances/{name}/start")

    first, began = last(), time.monotonic()
    names = itertools.cycle(f"model-{n:04d}" for n in range(RESTLESS))
    with ThreadPoolExecutor(RESTLESS // 2) as pool:
        while not over.wait(0.1):
            due = PER_S * (time.monotonic() - began) - (last() - first)
            for _ in range(min(RESTLESS // 2, int(due / 3))):  # three events a start at least
                pool.submit(start, next(names))
    return last() - first


def use(page: Page) -> None:
    """As a person who types, scrolls and looks, for a while."""
    ends = time.monotonic() + SECONDS
    search = page.get_by_label("Search instances")
    while time.monotonic() < ends:
        search.click()
        page.keyboard.type("model-00", delay=60)
        for _ in range(8):
            page.keyboard.press("Backspace", delay=30)
        page.mouse.move(640, 500)
        for distance in (4000, -4000):
            page.mouse.wheel(0, distance)
            page.wait_for_timeout(150)


def main() -> None:
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(data_folder(Path(folder), "{}")) as server,
        sync_playwright() as playwright,
        ThreadPoolExecutor() as pool,
    ):
        define(server)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.url)
        sign_in(page, server.key)
        page.get_by_role("link", name="model-0000").wait_for()
        usable = []
        for _ in range(5):
            page.reload()
            page.get_by_role("link", name="model-0000").wait_for()
            usable.append(page.evaluate("performance.now()"))
        page.evaluate(OBSERVE)
        events = pool.submit(disturb, server, over)
        use(page)
        over.set()
        seen = page.evaluate("seen")
        browser.close()
        tasks = sorted(duration for _, duration in seen["tasks"])
        waits = sorted(duration for _, duration in seen["waits"])
        print(f"{COUNT} instances: usable after {', '.join(f'{ms:.0f}' for ms in usable)} ms")
        print(f"{events.result() / SECONDS:.0f} events a second, for {SECONDS} s:")
        print(f"  tasks over 50 ms: {len(tasks)}, the longest {max(tasks, default=0):.0f} ms")
        longest = ", ".join(f"{ms:.0f}" for ms in waits[-5:])
        print(f"  keys and clicks that took over 16 ms to their frame: {len(waits)}; {longest} ms")


if __name__ == "__main__":
    main()
