"""`llamactl run`: from a model's name to an answer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.cli.conversation import Conversation
from llamactl.cli.session import Session
from support.installed import PYTHON
from support.served import data_folder, end, instance_ports, serve


def llamactl(data: Path, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(data)],
        capture_output=True, text=True, input=text, check=False, cwd=data,
        env={**os.environ, **instance_ports(), "HOME": str(data), "LLAMACTL_PORT": "0"},
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    data = data_folder(tmp_path, "")
    yield data
    where = data / "server.json"
    if where.exists():
        end(json.loads(where.read_text())["pid"])


def test_without_a_server_it_starts_one_and_says_so(data: Path, tiny_model: Path) -> None:
    first = llamactl(data, "run", str(tiny_model), "Hello", "--set", "max_tokens=3")
    again = llamactl(data, "run", "tiny", "--set", "max_tokens=3", text="Hello")

    as_json = llamactl(data, "run", "tiny", "Hello", "--set", "max_tokens=3", "--json")
    assert json.loads(as_json.stdout)["tokens"] == 3, as_json.stderr
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "llamactl was not running: started it at" in first.stderr
    assert "created instance tiny" in first.stderr
    assert (again.stderr, bool(again.stdout)) == ("", True)


def test_what_can_not_be_found_is_said_in_one_line(data: Path) -> None:
    with serve(data):
        said = llamactl(data, "run", "nothing-of-the-kind", "Hello")

    assert (said.returncode, said.stdout) == (1, "")
    assert len(said.stderr.splitlines()) == 1 and "nothing-of-the-kind" in said.stderr


def test_a_talk_has_a_history_and_commands(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        server.request("POST", "/api/v1/instances/tiny?start=false", {"model": str(tiny_model)})
        file = tmp_path / "said.json"
        lines = iter(
            ["/set max_tokens 2", "Hello", '"""two', 'lines"""', "/nonsense", "/retry",
             f"/save {file}", "/bye"]
        )  # fmt: skip
        with closing(Session(None, None, server.data_dir, as_json=False)) as session:
            Conversation(session, "tiny").hold(lambda _: next(lines))

    said = json.loads(file.read_text())
    assert [row["role"] for row in said] == ["user", "assistant"] * 2
    assert said[2]["content"] == "two\nlines"
    assert "unknown command /nonsense" in capsys.readouterr().err


class Interrupted:
    """A client whose user loses patience after the first piece."""

    def chat(self, *_: object, **__: object) -> Iterator[dict[str, object]]:
        yield {"choices": [{"delta": {"content": "Well"}}]}
        raise KeyboardInterrupt


def test_ctrl_c_ends_an_answer_and_not_the_talk(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Conversation(cast(Any, SimpleNamespace(client=Interrupted(), as_json=False)), "tiny")

    assert talk.ask("Hello") == "Well"
    assert [row["content"] for row in talk.said] == ["Hello", "Well"]
    assert "(stopped)" in capsys.readouterr().err
