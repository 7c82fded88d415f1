"""The command line, as a user types it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from support.installed import PYTHON
from support.served import serve

pytestmark = pytest.mark.representative


def llamactl(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "llamactl", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_config_check_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    (tmp_path / "llamactl.yaml").write_text("server:\n  prot: 1\n")

    wrong = llamactl("config", "check", cwd=tmp_path)
    (tmp_path / "llamactl.yaml").write_text("server: {port: 1}\n")
    right = llamactl("config", "check", cwd=tmp_path)

    assert (wrong.returncode, right.returncode) == (1, 0)
    assert "llamactl.yaml, line 2: server.prot: unknown key" in wrong.stderr


def test_serve_tells_what_a_person_wants_to_know(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert server.process.stdout is not None
        said: list[str] = []
        while not said or said[-1].split()[0] != "API":
            said.append(server.process.stdout.readline())

    words = ["page", "engine", "settings", "data", "key", "API"]
    assert [word for line in said if (word := line.split()[0]) != "also"] == words
    assert server.key not in "".join(said)
    assert (tmp_path / "management_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path) as server:
        server.process.send_signal(number)
        assert server.process.wait(20) == 0


def test_the_engine_refuses_unknown_flags_and_ends_at_sigterm(tiny_model: Path) -> None:
    engine = [PYTHON, "-m", "llamactl.engine"]
    unknown = subprocess.run([*engine, "--nothing"], capture_output=True, text=True, check=False)
    running = subprocess.Popen(
        [*engine, "--model", str(tiny_model), "--port", "0", "-c", "256"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with running:
        assert running.stdout is not None
        line = running.stdout.readline()
        running.terminate()

        assert running.wait(10) == -signal.SIGTERM
    assert line.startswith("engine listens on http://127.0.0.1:")
    assert (unknown.returncode, "unknown flag: --nothing" in unknown.stderr) == (2, True)


def test_the_log_is_json_by_setting(tmp_path: Path, tiny_model: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with serve(data, {"LLAMACTL_LOG_FORMAT": "json"}) as server:
        server.request("POST", "/api/v1/instances/x", {"model": str(tiny_model), "ctx_size": 256})

    rows = [line for line in (tmp_path / "data.err").read_text().splitlines() if line[:1] == "{"]
    assert "instance_ready" in [json.loads(row)["event"] for row in rows]
