"""A look at the numbers wakes no engine that sleeps."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llamactl.core.routes import ReadyInstance
from llamactl.node import busy_slots
from llamactl.node.engine.scrape import scrape, served_models

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

    assert asyncio.run(scrape(ready)) == {}
    assert kind.asked == ["/props"]


@pytest.mark.parametrize("props", [{"is_sleeping": False}, {}, [], "no"])
def test_any_other_is(engine: tuple[type[Engine], ReadyInstance], props: object) -> None:
    kind, ready = engine
    kind.props = props

    assert asyncio.run(scrape(ready)) == {"": NUMBERS}


class Router(Engine):
    """Two models are loaded, one of which sleeps; asking for the third would load it."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        rows = [{"id": name, "status": {"value": value}} for name, value in
                [("org/a b", "loaded"), ("b", "loaded"), ("c", "unloaded")]]  # fmt: skip
        path, _, query = self.path.partition("?")
        told = {
            "/props": {"is_sleeping": "model=b" in query} if query else {"role": "router"},
            "/v1/models": {"data": [*rows, "no row", {"id": "d"}]},
            "/slots": [{"is_processing": True}, {"is_processing": "model=b" in query}],
        }
        text = NUMBERS if path == "/metrics" else json.dumps(told[path])
        self.send_response(200 if query or path in ("/props", "/v1/models") else 400)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def router(engine: tuple[type[Engine], ReadyInstance], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine[0], "do_GET", Router.do_GET)


@pytest.mark.usefixtures("router")
def test_of_several_models_each_is_asked_that_is_loaded(
    engine: tuple[type[Engine], ReadyInstance],
) -> None:
    kind, ready = engine

    assert asyncio.run(scrape(ready)) == {"org/a b": NUMBERS}
    assert not [path for path in kind.asked if "model=c" in path]
    assert {"/metrics?model=org%2Fa+b&autoload=false"} == {
        path for path in kind.asked if path.startswith("/metrics")
    }


@pytest.mark.usefixtures("router")
def test_their_busy_slots_are_counted_together(engine: tuple[type[Engine], ReadyInstance]) -> None:
    assert asyncio.run(busy_slots(engine[1])) == 3


class Odd(Engine):
    said = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)


@pytest.mark.parametrize("said", [b"[" * 500_000, b'{"data":[' + b"{}," * 300_000 + b"{}]}"])
def test_one_that_tells_what_takes_long_to_read_tells_nothing(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = list[str]()
    monkeypatch.setattr(json, "loads", parsed.append)
    kind = type("Kind", (Odd,), {"said": said})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    ready = ReadyInstance("a", "127.0.0.1", server.server_port, "key", 1)
    try:
        assert asyncio.run(busy_slots(ready)) is None
        assert asyncio.run(served_models(ready)) == {}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not parsed
