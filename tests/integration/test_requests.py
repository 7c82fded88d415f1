"""The request log of a server: by the API and the command line, with one process and with two."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect as connect_websocket

from llamactl.client import Client
from support.fake_engine import begin_stream, create_fake, raw, to_end
from support.installed import PYTHON
from support.proxies import TWO, ask_once, proxies_of, until_proxies
from support.served import Served, data_folder, serve
from support.waits import until

REQUESTS = "/api/v1/requests"


@pytest.fixture(scope="module", params=["", TWO], ids=["one-process", "two-processes"])
def server(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("requests")
    with serve(data_folder(folder, request.param)) as served:
        create_fake(served, folder, "one")
        create_fake(served, folder, "talk", model="websocket")
        yield served


def log(server: Served, **query: object) -> Any:
    answer = server.request("GET", REQUESTS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_request_is_in_it_once_whichever_process_had_it(server: Served) -> None:
    newest = log(server)["newest"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask_once(server, "one"), range(40)))

    seen = log(server, after=newest)

    assert [row["number"] for row in seen["ended"]] == [*range(newest + 1, newest + 41)]
    assert len({row["id"] for row in seen["ended"]}) == 40
    assert {(row["instance"], row["status"], row["sender"]) for row in seen["ended"]} == {
        ("one", 200, "management")
    }
    assert log(server, after=seen["newest"])["ended"] == []


def test_one_that_runs_is_cancelled_by_its_id(server: Served) -> None:
    with raw(server) as client:
        begin_stream(server, client, "one")
        (row,) = log(server)["running"]
        assert (row["instance"], row["stage"], row["status"]) == ("one", "answering", 200)

        answer = server.request("DELETE", REQUESTS, params={"id": row["id"]})

        assert (answer.status_code, answer.json()) == (200, {"cancelled": 1})
        assert b'"code":"cancelled"' in to_end(client)
    ended = log(server, failed=True)["ended"][-1]
    assert (ended["id"], ended["code"], ended["complete"]) == (row["id"], "cancelled", False)
    server.until_row("one", "one without leases", lambda row: row["leases"] == 0)
    gone = server.request("DELETE", REQUESTS, params={"id": row["id"]})
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_websocket_is_in_it_and_can_be_cancelled(server: Served) -> None:
    where = server.url.replace("http", "ws") + "/v1/realtime?model=talk"
    headers = {"Authorization": f"Bearer {server.key}", "X-Request-Id": "a/../b?c=%2F&d"}
    with connect_websocket(where, additional_headers=headers) as socket:
        socket.send("hello")
        socket.recv()
        (row,) = log(server)["running"]
        assert (row["id"], row["instance"], row["stage"]) == ("a/../b?c=%2F&d", "talk", "answering")

        assert server.request("DELETE", REQUESTS, params={"id": "a/../b?c=%2F&d"}).json() == {
            "cancelled": 1
        }

        with pytest.raises(Exception, match="close"):
            socket.recv(timeout=30)
    until("the WebSocket's end", lambda: log(server), lambda now: not now["running"])
    assert log(server, instance="talk")["ended"][-1]["status"] in (101, 499)


def test_an_inference_key_may_not_look(server: Served) -> None:
    made = server.request("POST", "/api/v1/auth/keys", {"name": "guest"}).json()
    for method in ("GET", "DELETE"):
        answer = server.request(method, REQUESTS, key=made["key"], params={"id": "x"})
        assert answer.status_code in (401, 403)


def test_it_can_be_filtered(server: Served) -> None:
    made = server.request("POST", "/api/v1/auth/keys", {"name": "laptop"}).json()
    with server.client(made["key"]) as client:
        client.post("/v1/chat/completions", json={"model": "none"})

    for query in ({"key": "laptop"}, {"key": made["id"]}, {"failed": True, "key": "laptop"}):
        rows = log(server, **query)["ended"]
        assert [row["code"] for row in rows] == ["model_not_found"]
    assert log(server, key="laptop", instance="one")["ended"] == []
    assert log(server, min_duration=3600)["ended"] == []
    assert len(log(server, limit=1)["ended"]) == 1


def test_the_command_shows_follows_and_cancels(server: Served) -> None:
    def llamactl(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "HOME": str(server.data_dir), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    def said(*words: str) -> str:
        return llamactl(*words).communicate(timeout=60)[0]

    follows = llamactl("requests", "-f", "-n", "1")
    assert follows.stdout is not None
    with closing(follows.stdout):
        assert follows.stdout.readline().startswith("AT ")
        with raw(server) as client:
            begin_stream(server, client, "one")
            line = next(row for row in said("requests").splitlines() if "answering" in row)
            name = log(server)["running"][0]["id"]
            assert name in line
            assert said("cancel", name) == "cancelled\n"
        try:
            assert any(name in row and "cut" in row for row in iter(follows.stdout.readline, ""))
        finally:
            follows.send_signal(signal.SIGINT)
            follows.wait(30)
            if follows.stderr is not None:
                follows.stderr.close()
    assert "(cancelled)" in said("requests", "--failed")
    took = [row.split()[4] for row in said("requests", "--slowest", "-n", "3").splitlines()[1:]]
    assert len(took) == 3


def test_a_process_that_dies_takes_only_its_own_with_it(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, TWO)) as served:
        create_fake(served, tmp_path, "one")
        ask_once(served, "one")
        known = log(served)["newest"]
        first, _ = pids = until_proxies(served.process.pid)
        os.kill(first, signal.SIGKILL)
        until_proxies(served.process.pid, but=(first,))
        for _ in range(4):
            ask_once(served, "one")

        seen = log(served)

        assert [row["number"] for row in seen["ended"]] == [*range(1, known + 5)]
        assert len(pids) == len(proxies_of(served.process.pid))


def test_the_client_lists_and_follows(server: Served) -> None:
    with closing(Client(server.url, server.key)) as client:
        newest = client.requests.list(limit=1).newest
        ask_once(server, "one")
        with closing(client.requests.follow(after=newest)) as later:
            assert next(iter(later)).number == newest + 1
