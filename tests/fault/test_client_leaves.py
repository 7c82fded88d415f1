"""Clients that leave: a stream, an upload, the queue."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

import pytest

from support.fake_engine import CHUNKED, create_fake, play, post, raw, tell, until_working
from support.faults import (
    BASE,
    ENDLESS,
    ENDLESS_OPTIONS,
    RAW,
    create,
    leases,
    number,
    seen,
    until_number,
)
from support.served import Served, serve
from support.waits import until


@pytest.mark.both_engines
def test_a_client_that_leaves_cancels_the_engine(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "talker", tiny_model, **ENDLESS_OPTIONS)
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json={**ENDLESS, "model": "talker"}) as stream,
        ):
            next(stream.iter_lines())
        slots = f"{BASE}/talker/proxy/slots"
        server.until_answer(
            slots, "an idle engine", lambda slots: not any(slot["is_processing"] for slot in slots)
        )


def until_free(server: Served, idle: int) -> None:
    """Until no more connections are open to the engine than when it was idle, and none is used."""
    until(
        "a free engine",
        lambda: (seen(server)["connections"], leases(server)),
        lambda now: now[0] <= idle and not now[1],
    )


def test_a_client_that_leaves_a_stream_frees_the_engine(server: Served) -> None:
    script = [["send", CHUNKED], ["event", "data: {}\n\n"], ["until", "never"]]
    idle = seen(server)["connections"]
    with raw(server) as connection:
        connection.sendall(post(server, json.dumps(play("fake", *script)).encode()))
        assert connection.recv(1)
        assert leases(server) == 1
    until_free(server, idle)


def test_a_client_that_leaves_an_upload_frees_the_engine(server: Served) -> None:
    upload = post(server, b"x" * 100, "Content-Length: 1000", path=RAW)
    idle = seen(server)["connections"]
    with raw(server) as connection:
        connection.sendall(upload)
        server.until_leased("fake")
    until_free(server, idle)


def test_work_whose_client_left_still_counts_as_busy(server: Served) -> None:
    """llama-server brings an answer that is sent whole to its end, whoever waits for it."""
    server.request("POST", "/api/v1/instances/fake/restart?wait=true")  # nothing else is at work
    idle, name = seen(server)["connections"], uuid.uuid4().hex
    with raw(server) as connection:
        connection.sendall(post(server, json.dumps(play("fake", ["until", name])).encode()))
        until_working(server.until_leased("fake"))
    until("the client gone", lambda: seen(server)["connections"], lambda now: now <= idle + 1)
    assert leases(server) == 1
    stop = threading.Thread(
        target=server.request, args=("POST", "/api/v1/instances/fake/stop?wait=true")
    )
    stop.start()
    server.until("fake", "draining")

    tell(server.request("GET", "/api/v1/instances/fake").json(), name)
    stop.join()

    assert leases(server) == 0
    server.request("POST", "/api/v1/instances/fake/start?wait=true")


def test_a_client_that_leaves_the_queue_is_forgotten(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "sleeper", model="slow", start=False)
    waiting = "llamactl_requests_waiting_for_a_start"
    with raw(server) as connection:
        connection.sendall(post(server, b'{"model": "sleeper"}'))
        until_number(server, waiting, 1)
    until_number(server, waiting, 0)
    assert number(server, 'llamactl_leases_in_flight{instance="sleeper"}') == 0
    server.request("DELETE", "/api/v1/instances/sleeper")


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/instances/some", "/api/chat"])
def test_a_client_that_leaves_within_a_body_is_no_fault_of_ours(data: Path, path: str) -> None:
    with serve(data) as server:
        for _ in range(5):
            with raw(server) as connection:
                whole = post(server, b'{"key": ', "Content-Length: 100", path=path)
                connection.sendall(whole)
            assert server.request("GET", "/health").status_code == 200

    assert "Traceback" not in (data.parent / "data.err").read_text()
