"""A hub that answers wrongly, slowly or never: it is said at once, and what to do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support.hub import Handler, Hub, hub
from support.installed import PYTHON
from support.served import Served, data_folder, serve

MODELS = "/api/v1/models"


@dataclass
class Place:
    server: Served
    hub: Hub


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("broken")
    with hub() as there:
        there.repos["org/tiny"] = {"tiny-Q4_K_M.gguf": b"x"}
        with serve(data_folder(folder, ""), there.environment(folder / "hub")) as server:
            yield Place(server, there)


def hangs(handler: Handler) -> None:
    """Until the test is over."""
    handler.hub.go_on.wait(60)


def drips(handler: Handler) -> None:
    """A byte now and then, so that no read takes long."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while not handler.hub.go_on.wait(0.2):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    except OSError:
        pass  # who asked is gone


def floods(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while not handler.hub.go_on.is_set():
            handler.wfile.write(b" " * (1 << 20))
    except OSError:
        pass


def answers(status: int, body: bytes, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs_up(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b"[")


BROKEN = {
    "hangs": (hangs, "silent", "did not finish its answer"),
    "drips": (drips, "silent", "did not finish its answer"),
    "floods": (floods, "too_large", "larger than 8 MiB"),
    "fails": (answers(503, b"busy"), "status", "answers with 503"),
    "limits": (answers(429, b"", retry_after="17"), "rate_limited", "wait 17 s, or set HF_TOKEN"),
    "greets": (answers(200, b"<html>Sign in</html>"), "not_json", "sign-in page"),
    "means": (answers(200, b'{"error": {}}'), "not_json", "not the hub's API"),
    "leaves": (hangs_up, "broken", "check the network"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_it_is_said_what_is_wrong_and_what_to_do(how: str, place: Place) -> None:
    place.hub.broken, kind, words = BROKEN[how]
    place.hub.go_on.clear()
    try:
        searched = place.server.request("GET", f"{MODELS}/search?q=tiny")
        looked = place.server.request("GET", f"{MODELS}/repository?repo=org/tiny")
    finally:
        place.hub.broken = None
        place.hub.go_on.set()

    for said in (searched, *([looked] if how != "means" else [])):
        body = said.json()
        assert (said.status_code, body["code"]) == (502, "hub_unreachable")
        assert (body["details"]["kind"], words in body["error"]) == (kind, True), body
        assert place.hub.url.removeprefix("http://") in body["error"]
        assert any(word in body["error"] for word in ("HTTPS_PROXY", "HF_TOKEN"))


def test_the_command_line_says_it_too(place: Place) -> None:
    place.hub.broken = answers(500, b"")
    try:
        said = subprocess.run(
            [PYTHON, "-m", "llamactl", "models", "search", "tiny", "--data-dir",
             str(place.server.data_dir)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(place.server.data_dir)},
        )  # fmt: skip
    finally:
        place.hub.broken = None
    assert said.returncode != 0
    assert "it answers with 500" in said.stderr and "HTTPS_PROXY" in said.stderr


def test_what_needs_no_hub_needs_none(place: Place) -> None:
    place.hub.broken = hangs
    place.hub.go_on.clear()
    try:
        rows = place.server.request("GET", f"{MODELS}/starters").json()
    finally:
        place.hub.broken = None
        place.hub.go_on.set()
    assert len(rows) >= 8 and json.dumps(rows[0]["checked"])
