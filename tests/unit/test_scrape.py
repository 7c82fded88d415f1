"""A look at the numbers wakes no engine that sleeps."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llamactl.core.routes import ReadyInstance
from llamactl.runtime import scrape

NUMBERS = "# TYPE x counter\nx 1\n"


class Engine(BaseHTTPRequestHandler):
    props: object = {}
    asked: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        text = json.dumps(self.props) if self.path == "/props" else NUMBERS
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def engine() -> Iterator[tuple[type[Engine], ReadyInstance]]:
    kind = type("Kind", (Engine,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield kind, ReadyInstance("a", "127.0.0.1", server.server_port, "key", 1)
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_that_sleeps_is_not_asked(engine: tuple[type[Engine], ReadyInstance]) -> None:
    kind, ready = engine
    kind.props = {"is_sleeping": True}

    assert asyncio.run(scrape(ready)) == ""
    assert kind.asked == ["/props"]


@pytest.mark.parametrize("props", [{"is_sleeping": False}, {}, [], "no"])
def test_any_other_is(engine: tuple[type[Engine], ReadyInstance], props: object) -> None:
    kind, ready = engine
    kind.props = props

    assert asyncio.run(scrape(ready)) == NUMBERS
