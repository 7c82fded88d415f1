"""`llamactl` without a command: where the server is, what runs, what to do next."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_engine import create_fake
from support.installed import PYTHON
from support.served import Served, data_folder, serve


def llamactl(data: Path, **variables: str) -> str:
    """What it prints. It must succeed, and complain about nothing."""
    done = subprocess.run(
        [PYTHON, "-m", "llamactl"], capture_output=True, text=True, check=False, cwd=data,
        env={**os.environ, "HOME": str(data), "LLAMACTL_DATA_DIR": str(data), **variables},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("overview")
    with serve(data_folder(folder, "")) as server:
        create_fake(server, folder, "one")
        create_fake(server, folder, "two", start=False)
        yield server


def test_where_no_server_runs_it_says_how_to_start_one_and_starts_none(tmp_path: Path) -> None:
    said = llamactl(tmp_path)

    assert f"no server is running (data in {tmp_path})" in said
    assert "  llamactl run MODEL  " in said and "  llamactl serve  " in said
    assert [*tmp_path.iterdir()] == []


def test_it_lists_what_there_is_and_what_to_do_with_it(server: Served) -> None:
    first, *lines = llamactl(server.data_dir).splitlines()

    assert first.startswith("llamactl ") and first.endswith(f" at {server.url}: ok")
    assert lines[:3] == ["  one  running", "  two  stopped", ""]
    assert "  llamactl run one  chat with it" in lines
    assert lines[-1].split() == ["llamactl", "--help", "all", "commands"]


def test_a_server_that_was_killed_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    # a process has the number by now that the server had
    (data / "server.json").write_text(json.dumps({"url": url, "pid": os.getpid()}))

    assert "no server is running" in llamactl(data)


def test_a_key_that_is_refused_is_one_sentence(server: Served) -> None:
    first, *lines = llamactl(server.data_dir, LLAMACTL_API_KEY="wrong").splitlines()

    assert f"the server at {server.url} answered: the API key is unknown" in first
    assert any("export LLAMACTL_API_KEY=" in line for line in lines)
    assert not any("one" in line.split() for line in lines)


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        heard = llamactl(tmp_path, LLAMACTL_URL=url)
    gone = llamactl(tmp_path, LLAMACTL_URL=url)

    assert f"the connection broke at {url}" in heard
    assert f"no llamactl answers at {url}" in gone
    assert "  unset LLAMACTL_URL  " in heard and "  unset LLAMACTL_URL  " in gone


def test_settings_with_a_fault_do_not_make_it_fail(tmp_path: Path) -> None:
    said = llamactl(tmp_path, LLAMACTL_PORT="abc")

    assert "server.port" in said and "  llamactl doctor  " in said
