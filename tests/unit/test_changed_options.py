"""Options for an instance that exists: asked about on a terminal, refused elsewhere."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from llamactl.cli.changes import change_options
from llamactl.core.errors import LlamactlError


class Instances:
    def __init__(self) -> None:
        self.updated: list[tuple[str, dict[str, Any]]] = []

    def update(self, name: str, options: dict[str, Any], *, allow_unknown: bool) -> None:
        self.updated.append((name, options))


def given(options: list[str], *, allow_unknown: bool = False) -> Instances:
    """What becomes of them for an instance with a context of 512."""
    instances = Instances()
    session = SimpleNamespace(client=SimpleNamespace(instances=instances), is_local=True)
    its = {"backend_type": "llama_cpp", "backend_options": {"model": "/m", "ctx_size": 512}}
    known = SimpleNamespace(name="one", options=its)
    change_options(cast(Any, session), cast(Any, known), options, allow_unknown=allow_unknown)
    return instances


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_change_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, *, yes: bool
) -> None:
    questions: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        questions.append(text)
        return yes

    monkeypatch.setattr(typer, "confirm", confirm)
    if yes:
        assert given(["c=1024"]).updated == [("one", {"c": 1024})]
    else:
        with pytest.raises(LlamactlError, match="was not changed"):
            given(["c=1024"])
    assert questions == ["one: ctx_size is 512, not 1024. Change it?"]


@pytest.mark.parametrize("options", [[], ["c=512"], ["ctx-size=512", "model=/m"]])
def test_options_that_it_has_already_change_nothing(options: list[str]) -> None:
    assert given(options).updated == []


@pytest.mark.parametrize("option", ["c=1024", "ctx_size=", "threads=2", "pinned=true"])
def test_elsewhere_a_change_is_refused_with_the_command_that_makes_it(option: str) -> None:
    with pytest.raises(LlamactlError, match="already exists with other options") as refused:
        given([option])
    assert f"llamactl update one {option}" in refused.value.message


def test_the_command_passes_unknown_options_on_as_this_one_did() -> None:
    with pytest.raises(LlamactlError, match="llamactl update one ctxsize=4 --allow-unknown"):
        given(["ctxsize=4"], allow_unknown=True)
