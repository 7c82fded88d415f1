"""The one stream that the page lives on: all there is, then what changes, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_engine import begin_stream, create_fake, raw, tell
from support.served import Served, data_folder, serve

LIVE = "/api/v1/live"
Messages = Iterator[tuple[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("live"), "{}")) as served:
        yield served


@contextmanager
def live(server: Served, after: str = "", **more: Any) -> Iterator[Messages]:
    """Each message with the id of the last event that it tells."""
    headers = {"Last-Event-ID": after} if after else {}
    with server.client(**more) as client, client.stream("GET", LIVE, headers=headers) as answer:
        assert answer.status_code == 200
        yield messages(answer)


def messages(answer: httpx.Response) -> Messages:
    last = ""
    for line in answer.iter_lines():
        if line.startswith("id: "):
            last = line[4:]
        elif line.startswith("data: "):
            yield last, json.loads(line[6:])


def until(seen: Messages, event: str) -> tuple[str, list[Any]]:
    """What was told until that event, and its id."""
    told = []
    for last, message in seen:
        told.append(message)
        if any(row["event"] == event for row in message["events"]):
            return last, told
    raise AssertionError(f"it ended without {event}")


def test_all_there_is_and_then_what_changes(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "calm", start=False)
    made = create_fake(server, tmp_path, "busy", start=False)
    with live(server) as seen:
        _, first = next(seen)
        assert first["whole"] and first["jobs"] == []
        assert {row["name"] for row in first["instances"]} == {"calm", "busy"}
        assert first["machine"][-1]["running"] == 0

        server.request("POST", "/api/v1/instances/busy/start")
        _, told = until(seen, "BecameReady")
        rows = [row for message in told for row in message["instances"]]
        assert {row["name"] for row in rows} == {"busy"} and rows[-1]["state"] == "ready"
        assert not any(message["whole"] for message in told)

        server.request("DELETE", "/api/v1/instances/busy")
        assert any(message["gone"] == [made["id"]] for _, message in seen)
    server.request("DELETE", "/api/v1/instances/calm")


def test_what_was_missed_is_told_once(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "missed", start=False)
    with live(server) as seen:
        server.request("POST", "/api/v1/instances/missed/start")
        last, _ = until(seen, "BecameReady")
    server.request("POST", "/api/v1/instances/missed/stop")
    server.until("missed", "stopped")
    with live(server, after=last) as seen:
        _, told = until(seen, "Exited")
    rows = [row for message in told for row in message["events"]]

    assert told[0]["whole"]  # so that what else changed is known too
    assert [row["event"] for row in rows] == ["StopRequested", "Drained", "Exited"]
    assert all(row["id"] > int(last) for row in rows)
    server.request("DELETE", "/api/v1/instances/missed")


def test_nothing_is_missed_where_nothing_had_happened_yet(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "quiet", start=False)
    with live(server) as seen:
        last, _ = next(seen)
    server.request("POST", "/api/v1/instances/quiet/start?wait=true")
    with live(server, after=last) as seen:
        _, told = until(seen, "BecameReady")

    assert [row["event"] for m in told for row in m["events"]] == ["StartRequested", "BecameReady"]
    server.request("DELETE", "/api/v1/instances/quiet")


def test_requests_are_counted_while_they_run(server: Served, tmp_path: Path) -> None:
    made = create_fake(server, tmp_path, "counted")
    with live(server) as seen, raw(server) as client:
        next(seen)
        begin_stream(server, client, "counted")
        numbers = (message["numbers"].get(made["id"]) for _, message in seen)
        assert any(row and row["leases"] == 1 for row in numbers)
        tell(made, "go")
        assert any(row and row["leases"] == 0 for row in numbers)
    server.request("DELETE", "/api/v1/instances/counted")


def test_it_ends_with_its_session(server: Served) -> None:
    origin = {"Origin": server.url}
    with httpx.Client(base_url=server.url, headers=origin, timeout=60) as browser:
        assert browser.post("/api/v1/session", json={"key": server.key}).status_code == 200
        with browser.stream("GET", LIVE) as answer:
            seen = messages(answer)
            next(seen)
            assert browser.delete("/api/v1/session").status_code == 204
            for _ in seen:
                pass  # to its end
        assert browser.get(LIVE).status_code == 401


def test_what_is_no_id_is_refused(server: Served) -> None:
    refused = server.request("GET", LIVE, headers={"Last-Event-ID": "yesterday"})

    assert refused.status_code == 400 and "yesterday" in refused.text
