"""Several processes relay requests: clients see one server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from support.fake_engine import create_fake, post, raw
from support.proxies import TWO, answered, ask_once, asked, connected, until_proxies
from support.served import Served, data_folder, serve, until_gone

KEYS = "/api/v1/auth/keys"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("proxies")
    with serve(data_folder(folder, TWO)) as served:
        create_fake(served, folder, "one")
        create_fake(served, folder, "talk", model="websocket")
        yield served


def test_neither_process_has_most_of_the_requests(server: Served) -> None:
    body = answered("one")

    def client(_: int) -> Counter[str]:
        with connected(server) as connection:
            return Counter(asked(connection, server, body) for _ in range(40))

    with ThreadPoolExecutor(64) as pool:
        counts = sum(pool.map(client, range(64)), Counter[str]())

    assert counts.total() == 64 * 40
    assert len(counts) == 2
    assert max(counts.values()) <= 0.6 * counts.total()


def test_the_numbers_are_those_of_all_processes(server: Served) -> None:
    def served() -> float:
        said = server.request("GET", "/metrics").text.splitlines()
        lines = [line for line in said if line.startswith("llamactl_answers_total{")]
        return sum(float(line.split()[-1]) for line in lines if 'instance="one"' in line)

    before = served()
    for _ in range(8):
        ask_once(server, "one")

    assert served() - before == 8


def test_a_sign_in_link_works_once_whichever_process_gets_it(server: Served) -> None:
    for _ in range(8):  # each request is a connection
        made = server.request("POST", "/api/v1/session/link").json()
        token = {"token": made["path"].partition("=")[2]}
        used = [
            server.request("POST", "/api/v1/session/link/sign-in", token, key="") for _ in range(2)
        ]
        assert [answer.status_code for answer in used] == [200, 401]


def test_one_connection_has_all_that_llamactl_serves(server: Served) -> None:
    """Models by the process that accepted it, then the management API by another."""
    headers = {"Authorization": f"Bearer {server.key}"}
    with connected(server) as connection:
        asked(connection, server, answered("one"))
        for path in ("/v1/models", "/api/v1/instances", "/v1/models"):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        asked(connection, server, answered("one"))


def test_what_is_sent_ahead_is_answered_in_its_order(server: Served) -> None:
    get = f"GET %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.key}\r\n%b\r\n"
    first = post(server, answered("one"))
    second = get.encode() % (b"/api/v1/instances/one", b"")
    third = get.encode() % (b"/v1/models/one", b"Connection: close\r\n")

    with raw(server) as client:
        client.sendall(first + second + third)
        seen = b""
        while data := client.recv(1 << 16):
            seen += data

    assert seen.count(b"HTTP/1.1 200") == 3
    assert seen.index(b'{"ok": true}') < seen.index(b'"command') < seen.index(b'"object"')


def test_a_large_body_for_management_reaches_it(server: Served) -> None:
    """In pieces, the first of them to the process that accepted the client."""
    body = b'{"model": "any", "docker_enabled": false, "unknown": "' + b"x" * 300_000 + b'"}'

    with raw(server) as client:
        request = post(
            server,
            body,
            "Content-Type: application/json",
            "Connection: close",
            path="/api/v1/instances/large",
        )
        client.sendall(request)
        answer = client.recv(1 << 16)

    assert answer.startswith(b"HTTP/1.1 400")


def test_a_websocket_is_relayed(server: Served) -> None:
    url = server.url.replace("http", "ws") + "/upstream/talk/props"
    for _ in range(4):
        with connect_websocket(
            url, additional_headers={"Authorization": f"Bearer {server.key}"}
        ) as socket:
            socket.send("hello")
            assert socket.recv(timeout=20) == "hello"


def test_a_key_is_known_and_forgotten_everywhere(server: Served) -> None:
    made = server.request("POST", KEYS, {"name": "k", "permission_mode": "allow_all"}).json()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client(made["key"])) for _ in range(8)]
        models = [client.get("/v1/models").status_code for client in clients]
        server.request("DELETE", f"{KEYS}/{made['id']}")
        after = [client.get("/v1/models").status_code for client in clients]

    assert (set(models), set(after)) == ({200}, {401})


def test_an_instance_that_sleeps_is_started_for_a_request(tmp_path: Path, server: Served) -> None:
    create_fake(server, tmp_path, "later", start=False)

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: ask_once(server, "later"), range(8)))

    assert len(seen) == 8
    assert server.until_leased("later", 0)["state"] == "ready"


def test_all_end_with_the_server(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, TWO)) as server:
        pids = until_proxies(server.process.pid)

    for pid in pids:
        until_gone(pid)
