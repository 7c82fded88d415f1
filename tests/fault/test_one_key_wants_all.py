"""A key that may ask, and asks for all the memory, or all the connections, there are."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.fake_engine import address, create_fake, play, post
from support.served import Served, data_folder, serve

MB = 1 << 20
MANY = 16  # connections


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("greedy")
    settings = (
        f"server: {{max_connections: {MANY}, max_client_memory: {4 * MB}}}\n"
        "instances: {on_demand_start_timeout: 600}\n"
    )
    with serve(data_folder(folder, settings)) as running:
        create_fake(running, folder, "fake")
        create_fake(running, folder, "slow", start=False, model="slow")
        yield running


def key(server: Served, name: str) -> str:
    made: str = server.request("POST", "/api/v1/auth/keys", {"name": name}).json()["key"]
    return made


def asking(server: Served, key: str, body: bytes) -> bytes:
    return post(server, body).replace(server.key.encode(), key.encode())


def connect(server: Served, held: ExitStack) -> socket.socket:
    return held.enter_context(socket.create_connection(address(server), timeout=30))


def test_bodies_of_one_key_that_wait_for_a_start_leave_room_for_others(server: Served) -> None:
    greedy, honest = key(server, "greedy"), key(server, "honest")
    large = json.dumps(play("slow", ["send", ""], filler="x" * (MB - 1000))).encode()
    with ExitStack() as held:
        came = [connect(server, held) for _ in range(4)]
        for connection in came:
            connection.sendall(asking(server, greedy, large))
        (refused, *_), _, _ = select.select(came, [], [], 30)  # whose last part came last
        told = refused.recv(1 << 16)
        assert told.startswith(b"HTTP/1.1 503 "), told[:200]
        assert b"your requests" in told

        other = {"model": "fake", "filler": "x" * (MB // 2)}
        answer = server.request("POST", "/v1/chat/completions", other, key=honest)
        assert answer.status_code == 200, answer.text


def test_connections_of_one_key_leave_places_for_others(server: Served) -> None:
    greedy, honest = key(server, "greedy too"), key(server, "honest too")
    with ExitStack() as held:
        answers = []
        for _ in range(MANY):
            connection = connect(server, held)
            connection.sendall(asking(server, greedy, b'{"model": "fake"}'))
            answers.append(connection.recv(1 << 16))
        served = [a.startswith(b"HTTP/1.1 200 ") for a in answers]
        assert served == [True] * 12 + [False] * 4, answers[-1]
        assert b"of your connections" in answers[-1]

        answer = server.request("POST", "/v1/chat/completions", {"model": "fake"}, key=honest)
        assert answer.status_code == 200, answer.text
