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
from support.fake_engine import create_fake, until_told
from support.installed import PYTHON
from support.instance_ports import instance_ports
from support.served import data_folder, end, is_alive, serve


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


def copies(folder: Path, model: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(model.read_bytes())


def ask(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return llamactl(data, "run", *words, "Hello", "--set", "max_tokens=1")


def made(data: Path) -> dict[str, str]:
    """The models of all instances, by name."""
    rows = json.loads(llamactl(data, "ps", "--json").stdout)
    return {row["name"]: row["options"]["backend_options"]["model"] for row in rows}


@pytest.mark.both_engines
def test_a_second_file_of_one_name_gets_an_instance_of_its_own(
    data: Path, tiny_model: Path
) -> None:
    copies(data, tiny_model, "a/m.gguf", "b/m.gguf")
    with serve(data):
        for words in (["a/m.gguf"], ["b/m.gguf"], ["./a/m.gguf"], ["b/m.gguf", "--name", "mine"]):
            assert ask(data, *words).returncode == 0
        refused = ask(data, "a/m.gguf", "--name", "mine")

        assert made(data) == {
            "m": f"{data}/a/m.gguf", "m-b": f"{data}/b/m.gguf", "mine": f"{data}/b/m.gguf",
        }  # fmt: skip
    assert refused.returncode == 1 and "choose another --name" in refused.stderr


def test_a_second_quantisation_is_named_by_its_tag(data: Path, tiny_model: Path) -> None:
    snapshot = "hub/models--org--M/snapshots/abc"
    copies(data, tiny_model, f"{snapshot}/m-Q4_0.gguf", f"{snapshot}/m-Q8_0.gguf")
    with serve(data, {"HF_HUB_CACHE": str(data / "hub")}):
        for words in ("org/M:Q8_0", "hf.co/org/M:q4_0", "org/M:Q8_0"):
            assert ask(data, words).returncode == 0
        assert llamactl(data, "create", "by-name", "m=org/M:Q4_0", "--no-start").returncode == 0

        assert {name: Path(path).name for name, path in made(data).items()} == {
            "m": "m-Q8_0.gguf", "m-q4_0": "m-Q4_0.gguf", "by-name": "m-Q4_0.gguf",
        }  # fmt: skip


def test_what_can_not_be_run_leaves_no_instance_behind(data: Path, tiny_model: Path) -> None:
    copies(data, tiny_model, "m.gguf")
    (data / "text.gguf").write_text("hello")
    with serve(data) as server:
        paths = ("text.gguf", "./none.gguf", "/none/of/it.gguf", "~/none.gguf", ".")
        words = (*paths, "m.gguf -o ctx_size=many")
        said = {word: ask(data, *word.split()).stderr for word in words}

        assert server.request("GET", "/api/v1/instances").json() == []
        assert server.request("GET", "/api/v1/models/jobs").json() == [], "asked the hub"
    assert "not a readable GGUF file" in said["text.gguf"]
    for word in ("./none.gguf", "/none/of/it.gguf", "~/none.gguf"):
        assert "this file does not exist" in said[word]
    assert "is a folder" in said["."] and "m.gguf" in said["."]
    assert "bad_option" in said["m.gguf -o ctx_size=many"]


def test_options_for_an_instance_that_exists_are_not_dropped(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        body = {"model": str(tiny_model), "ctx_size": 512}
        server.request("POST", "/api/v1/instances/tiny?start=false", body)

        same = ask(data, "tiny", "-o", "c=512")
        other = ask(data, "tiny", "-o", "c=1024", "-o", "idle_timeout=5")

    assert same.returncode == 0, same.stderr
    assert other.returncode == 1
    assert "ctx_size is 512, not 1024" in other.stderr and "idle_timeout" in other.stderr
    assert "llamactl update tiny c=1024 idle_timeout=5" in other.stderr


def test_paths_are_meant_from_where_the_command_is_given(data: Path, tiny_model: Path) -> None:
    copies(data, tiny_model, "sub/m.gguf", "lora.gguf")
    with serve(data) as server:
        words = ("model=sub/m.gguf", "lora=./lora.gguf")
        done = llamactl(data, "create", "one", *words, "--no-start")
        missing = llamactl(data, "create", "two", "model=./sub/none.gguf", "--no-start")

        options = server.instance("one")["options"]["backend_options"]
        assert (done.returncode, missing.returncode) == (0, 1)
        assert options == {"model": f"{data}/sub/m.gguf", "lora": f"{data}/lora.gguf"}
        assert "./sub/none.gguf does not exist here" in missing.stderr


def test_a_command_ends_the_server_and_its_instances(data: Path, tiny_model: Path) -> None:
    first = ask(data, str(tiny_model))
    server = json.loads((data / "server.json").read_text())["pid"]
    (row,) = json.loads(llamactl(data, "ps", "--json").stdout)

    done = llamactl(data, "shutdown")

    assert "`llamactl shutdown` stops it" in first.stderr
    assert (done.returncode, done.stdout) == (0, f"llamactl (pid {server}) has stopped\n")
    assert not is_alive(server) and not is_alive(row["pid"])
    assert llamactl(data, "shutdown").returncode == 1


def test_a_model_that_loads_gives_signs_of_life(data: Path, tmp_path: Path) -> None:
    with serve(data) as server:
        create_fake(server, tmp_path, "slow", start=False, model="slow")
        asking = subprocess.Popen(
            [PYTHON, "-m", "llamactl", "chat", "slow", "Hello", "--data-dir", str(data)],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert asking.stderr is not None
        line = asking.stderr.readline()
        until_told(server.until("slow", "starting"), "loaded")
        asking.wait(60)
        asking.stderr.close()

    assert line.startswith("loading slow (")


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
