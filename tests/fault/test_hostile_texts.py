"""Texts that were made to hang or fill llamactl when they are pasted or imported."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.api.routers.backends import parse
from llamactl.backends import LLAMA_CPP
from llamactl.backends.command import COMMAND
from llamactl.cli.options import options_of
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.migration.source import read_yaml
from llamactl.policy.definition.command_line import Parsed
from llamactl.policy.definition.engine_help import UNREAD
from llamactl.schemas.backends import CommandRequest
from support.served import data_folder, serve

_PATH = "/api/v1/backends/llama-cpp/parse-command"
_IMAGE = "ghcr.io/ggml-org/llama.cpp:server"
_TENFOLD = "".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
_LISTS = f"x0: &a0 [{', '.join(['lol'] * 10)}]\n{_TENFOLD}"
_MERGED = "".join(f"x{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10))
_MERGES = f"x0: &a0 {{{', '.join(f'k{n}: v' for n in range(10))}}}\n{_MERGED}"
_LONG = f"x0: &a0 {'lol' * 9000}\n" + "".join(
    f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 4)
)
_BOMBS = {
    "lists": f"{_LISTS}services: {{a: {{image: {_IMAGE}, command: *a9}}}}\n",
    "variables": f"{_LISTS}services:\n  a:\n    image: {_IMAGE}\n    environment: {{A: *a9}}\n",
    "keys": f"{_LISTS}services:\n  a:\n    image: {_IMAGE}\n    ports: *a9\n",
    "merges": f"{_MERGES}services:\n  a:\n    image: {_IMAGE}\n    labels: *a9\n",
    "long texts": f"{_LONG}services:\n  a:\n    image: {_IMAGE}\n    command: *a3\n",
    "itself": f"image: {_IMAGE}\ncommand: &a [*a]\n",
}
_VOLUMES = " ".join(f"-v /a{n}:/b{n}" for n in range(1000))
_ARRAY = f"A=({'a ' * 1000})\n"
_MANY = {
    "words and volumes": f"{_ARRAY}docker run {_VOLUMES} i {'${A[@]} ' * 300}",
    "words": f"{_ARRAY}llama-server {'${A[@]} ' * 300}",
    "empty words": "A=(" + '"" ' * 8000 + ")\nllama-server " + "${A[@]} " * 4000,
    "words in a file": f"image: {_IMAGE}\ncommand: {'-m ' * 5000}\n",
    "long folders": f"docker run -v /{'x' * 30_000}:/a i -m {'/a,' * 9000}",
}


@pytest.mark.parametrize("name", _BOMBS)
def test_aliases_that_grow_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"alias.*; write"):
        LLAMA_CPP.parse_command(_BOMBS[name], UNREAD)
    with pytest.raises(LlamactlError, match=r"alias.*; write"):
        read_yaml(_BOMBS[name])


@pytest.mark.parametrize("name", _MANY)
def test_a_command_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"4096 words|too long"):
        LLAMA_CPP.parse_command(_MANY[name], UNREAD)


@pytest.mark.parametrize(
    "text",
    [_BOMBS["merges"], "idle_timeout: 2026-02-31\n", "a: 1\na: 2\n"],
    ids=["it grows", "no such day", "a key twice"],
)
def test_a_file_of_options_is_refused_by_its_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "options.yaml").write_text(text)
    with (
        (tmp_path / "options.yaml").open() as file,
        pytest.raises(LlamactlError, match=r"cannot read .*options\.yaml: "),
    ):
        options_of(None, file)


def test_many_volumes_cost_no_more_than_few() -> None:
    text = f"A={'a,' * 17_000}a\ndocker run {_VOLUMES} i -m {'$A ' * 28} --lora /b7/x,/b70/y,/b7000"

    found = LLAMA_CPP.parse_command(text, UNREAD)

    assert found.options["lora"] == "/a7/x,/a70/y,/b7000"


@pytest.mark.parametrize(
    "text",
    [
        f"image: x\ncommand: [-m, {'1:' * 30_000}1]\n",
        f"image: x\ncommand: [-m, !!int '{'1:' * 30_000}1']\n",
        f"[program:a]\nenvironment={'a' * 60_000}\ncommand=llama-server -m x\n",
    ],
    ids=["a number to the base of sixty", "one with a tag", "a variable without a value"],
)
def test_long_values_are_read_as_texts(text: str) -> None:
    assert "model" in LLAMA_CPP.parse_command(text, UNREAD).options


def test_others_are_answered_while_a_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def read(self: object, text: str, known: object) -> Parsed:
        threads.append(threading.current_thread())
        return Parsed()

    monkeypatch.setattr(type(COMMAND), "parse_command", read)
    services = cast(Any, SimpleNamespace(confinement=SimpleNamespace(problems=lambda wanted: [])))
    asyncio.run(parse("command", CommandRequest(command="x"), services))

    assert threads and threading.current_thread() not in threads


def test_the_server_refuses_a_file_that_grows_and_lists_only_so_many_words(
    tmp_path: Path,
) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        refused = server.request("POST", _PATH, {"command": _BOMBS["lists"]})
        listed = server.request("POST", _PATH, {"command": f"llama-server -m x {'y ' * 4000}"})

        assert refused.status_code == 400
        assert "aliases make it too large" in refused.json()["error"]
        rows = listed.json()["not_understood"]
        assert rows[0].startswith("y: ") and rows[-1].endswith(" more: shorten the command")
        assert len(rows) == 257
