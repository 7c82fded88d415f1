"""The commands against a server: what they print, and how they exit."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llamactl.cli.session import inert
from support.fake_engine import create_fake
from support.installed import PYTHON
from support.prefix import below
from support.served import Served, data_folder, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cli")
    with serve(data_folder(folder, "")) as server:
        create_fake(server, folder, "one")
        create_fake(server, folder, "two", start=False)
        yield server


def llamactl(
    server: Served, *words: str, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, input=text, check=False,
        env={**os.environ, "HOME": str(server.data_dir), **variables},
    )  # fmt: skip


def test_ps_lists_and_fits(server: Served) -> None:
    lines = llamactl(server, "ps").stdout.splitlines()
    rows = json.loads(llamactl(server, "ps", "--json").stdout)

    assert [line.split()[:2] for line in lines] == [
        ["NAME", "STATUS"], ["one", "running"], ["two", "stopped"],
    ]  # fmt: skip
    assert [row["name"] for row in rows] == ["one", "two"]
    assert llamactl(server, "ps", "-q").stdout.split() == ["one", "two"]


def test_names_from_other_programs_work_and_others_lead_to_a_command(server: Served) -> None:
    assert llamactl(server, "list", "-q").stdout.split() == ["one", "two"]
    assert llamactl(server, "models", "list").stdout.split()[0] == "NAME"
    assert "llamactl ps [OPTIONS]" in llamactl(server, "help", "ps").stdout.splitlines()[0]
    unknown = llamactl(server, "unload", "one")
    assert unknown.returncode == 2
    assert "No such command 'unload'. Did you mean 'stop'?" in unknown.stderr


def test_the_life_of_an_instance(server: Served) -> None:
    options = "backend_options: {model: any}\n"
    made = llamactl(server, "create", "three", "-f", "-", "priority=2", "--no-start", text=options)
    assert (made.returncode, made.stdout) == (0, "three  stopped\n"), made.stderr
    command = server.instance("one")["options"]["command_override"]
    changed = llamactl(server, "update", "three", f"command_override={command}", "priority=")
    assert changed.returncode == 0, changed.stderr
    assert "priority" not in server.instance("three")["options"]
    for words, said in (
        (("start", "three"), "three  running\n"), (("restart", "three"), "three  running\n"),
        (("stop", "three"), "three  stopped\n"), (("rm", "three"), "three  removed\n"),
    ):  # fmt: skip
        done = llamactl(server, *words)
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert (
        llamactl(server, "show", "three").stderr == "llamactl: there is no instance named 'three'\n"
    )


def test_what_happened_is_shown(server: Served) -> None:
    assert "BecameReady starting -> ready" in llamactl(server, "events", "one").stdout
    assert "start 1:" in llamactl(server, "logs", "one", "-n", "5").stdout
    assert llamactl(server, "plan", "two").stdout.startswith("start: ")
    assert "name: one" in llamactl(server, "show", "one").stdout
    top = llamactl(server, "top", "--count", "1")
    assert (
        top.returncode == 0 and "one" in top.stdout and "29m" in top.stdout
    ) or "30m" in top.stdout


def test_open_prints_a_link_that_signs_in(server: Served) -> None:
    opened = llamactl(server, "open")
    assert opened.returncode == 0, opened.stderr
    page, _, token = opened.stdout.strip().partition("#/sign-in?token=")
    assert page == f"{server.url}/"

    used = [
        httpx.post(f"{server.url}/api/v1/session/link/sign-in", json={"token": token})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in used] == [200, 401]


def test_open_through_a_proxy_prints_the_page_without_a_token(server: Served) -> None:
    with below("/models", server.url, {"X-Forwarded-For": "192.0.2.1"}) as address:
        opened = llamactl(server, "open", "--url", address, LLAMACTL_API_KEY=server.key)
    assert opened.stdout.strip() == f"{address}/"
    assert "Sign in with a key" in opened.stderr


def test_open_with_a_wrong_key_fails(server: Served) -> None:
    opened = llamactl(server, "open", LLAMACTL_API_KEY="wrong")

    assert (opened.returncode, opened.stdout) == (1, "")
    assert opened.stderr.startswith("llamactl: the API key is unknown")


def test_what_would_be_is_shown(server: Served) -> None:
    seen = llamactl(server, "preview", "new", "model=/no/such.gguf", "ctx_size=512")
    assert "--ctx-size 512" in seen.stdout and "unknown if it fits" in seen.stdout
    boxed = ("container.image=not-here:1", "container.engine=podman", "container.gpus=1")
    seen = llamactl(server, "preview", "new", "model=/m.gguf", *boxed)
    assert "podman create" in seen.stdout and "not-here:1" in seen.stdout
    assert "new can't start now: " in seen.stdout  # no Podman, no GPU, or no image
    opened = llamactl(server, "open", "one")
    assert opened.stdout.startswith(f"{server.url}/page/")
    assert "server.port" in llamactl(server, "config", "show").stdout


def test_keys_are_made_shown_and_revoked(server: Served) -> None:
    secret = llamactl(server, "keys", "create", "guest", "--instance", "one", "--days", "3").stdout
    (row,) = json.loads(llamactl(server, "keys", "ls", "--json").stdout)
    with server.client(secret.strip()) as client:
        names = [m["id"] for m in client.get("/v1/models").json()["data"]]
    assert (names, row["name"]) == (["one"], "guest")
    assert "instances: ['one']" in llamactl(server, "keys", "show", row["id"]).stdout
    assert "in 3d" in llamactl(server, "keys", "ls").stdout
    assert llamactl(server, "keys", "revoke", row["id"]).returncode == 0
    assert json.loads(llamactl(server, "keys", "ls", "--json").stdout) == []


def test_the_server_as_a_whole(server: Served) -> None:
    status = llamactl(server, "status")
    assert status.returncode == 0 and "ok" in status.stdout and "1 running" in status.stdout
    assert "llamactl_leases_in_flight" in llamactl(server, "metrics").stdout
    assert llamactl(server, "engine", "version").stdout.strip()


def test_errors_are_one_line_and_more_with_v(server: Served, tmp_path: Path) -> None:
    nowhere = llamactl(server, "ps", LLAMACTL_URL="http://127.0.0.1:9")
    assert nowhere.returncode == 1 and len(nowhere.stderr.splitlines()) == 1
    assert "start it with `llamactl serve`" in nowhere.stderr
    wrong = llamactl(server, "ps", LLAMACTL_API_KEY="wrong")
    assert (wrong.returncode, "unknown, expired or revoked" in wrong.stderr) == (1, True)
    verbose = llamactl(server, "show", "nobody")
    assert "Traceback" not in verbose.stderr
    command = [PYTHON, "-m", "llamactl", "-v", "show", "nobody"]
    more = subprocess.run(
        [*command, "--data-dir", str(server.data_dir)], capture_output=True, text=True, check=False
    )
    assert "Traceback" in more.stderr
    assert llamactl(server, "create", "x", "nonsense").returncode == 1
    assert llamactl(server, "create").returncode == 2
    (tmp_path / "key").write_text(server.key)
    by_file = llamactl(server, "ps", "-q", "--key-file", str(tmp_path / "key"), "--url", server.url)
    assert by_file.stdout.split() == ["one", "two"]


def test_names_are_completed(server: Served) -> None:
    script = Path(PYTHON).with_name("llamactl")
    said = subprocess.run(
        [script], capture_output=True, text=True, check=False,
        env={**os.environ, "LLAMACTL_URL": server.url, "LLAMACTL_API_KEY": server.key,
             "_LLAMACTL_COMPLETE": "complete_bash", "COMP_WORDS": "llamactl show ",
             "COMP_CWORD": "2"},
    )  # fmt: skip
    assert said.stdout.split() == ["one", "two"]


def test_who_has_the_port_of_a_server_that_is_gone_sees_no_key(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as gone:
        port = int(gone.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)) as stranger:
        stranger.setblocking(False)
        said = llamactl(gone, "ps")
        with pytest.raises(BlockingIOError):
            stranger.accept()

    assert (said.returncode, "llamactl is not running for" in said.stderr) == (1, True)


def test_the_key_of_this_machines_server_is_shown_to_no_other(server: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        seen: list[bytes] = []

        def hear() -> None:
            connection, _ = stranger.accept()
            seen.append(connection.recv(1 << 16))
            connection.close()

        hearing = threading.Thread(target=hear)
        hearing.start()
        said = llamactl(server, "keys", "create", "x", "--url", f"http://127.0.0.1:{port}")
        hearing.join()

    assert said.returncode == 1
    assert seen and server.key.encode() not in seen[0] and b"authorization" not in seen[0].lower()
    assert llamactl(server, "ps", "-q", "--url", f"{server.url}/").stdout.split() == ["one", "two"]


def test_what_a_model_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert inert("a\x1b]0;x\x07b\n\tc\x9b2J\x7f") == "a]0;xb\n\tc2J"


def test_labels_of_nodes_are_needed_shown_and_filtered(tmp_path: Path) -> None:
    folder = data_folder(tmp_path, "local_node_labels: {gpu: h200, room: 2}\n")
    with serve(folder) as server:
        listed = llamactl(server, "node", "ls").stdout
        assert "gpu=h200, room=2" in listed
        assert "labels gpu=h200, room=2" in llamactl(server, "node", "show", "main").stdout
        for label, count in {"gpu=h200": 1, "gpu=a100": 0}.items():
            rows = llamactl(server, "node", "ls", "--label", label, "--json").stdout
            assert len(json.loads(rows)) == count
        bad = llamactl(server, "node", "ls", "--label", "gpu")
        assert (bad.returncode, "write --label KEY=VALUE" in bad.stderr) == (1, True)

        needs = ["--node-label", "gpu=a100", "--node-label", "room=2"]
        made = llamactl(server, "create", "far", "--backend", "command", "command=sleep",
                        'args=["${PORT}"]',
                        *needs, "--no-start")  # fmt: skip
        assert made.returncode == 0, made.stderr
        refused = llamactl(server, "start", "far")
        assert "node main has gpu=h200, needs gpu=a100" in refused.stderr
        assert "needs gpu=a100" in llamactl(server, "plan", "far", "--start").stdout
        llamactl(server, "update", "far", "--node-label", "gpu=h200")
        shown = json.loads(llamactl(server, "show", "far", "--json").stdout)
        assert shown["options"]["node_labels"] == {"gpu": "h200"}
        assert llamactl(server, "plan", "far", "--start").stdout.startswith("start: ")
