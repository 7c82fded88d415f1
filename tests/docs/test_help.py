"""The help of each command, on a terminal of 80 columns."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from llamactl.cli.main import SECTIONS
from support.command_lines import contexts, problem, root

COLUMNS = 80
ALL = [*contexts()]


def help_of(context: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    text: str = context.get_help()
    return text.splitlines()


def examples_in(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines[lines.index("  Examples:") + 1 :]]


@pytest.mark.parametrize("context", ALL[1:], ids=lambda context: context.command_path)
def test_the_help_of_a_command_ends_with_examples_that_work(
    context: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = examples_in(help_of(context, monkeypatch))

    assert found
    assert [one for one in found if not f"{one} ".startswith(f"{context.command_path} ")] == []
    words = [shlex.split(one.partition(" > ")[0].partition(" < ")[0])[1:] for one in found]
    assert [said for one in words if (said := problem(one, tmp_path))] == []


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_nothing_in_the_help_is_cut_or_too_wide(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = help_of(context, monkeypatch)

    assert [line for line in lines if len(line) > COLUMNS] == []
    assert [line for line in lines if line.endswith("...") and "Usage: " not in line] == []
    members = getattr(context.command, "commands", {})
    for name, member in members.items():  # each is one line, with its whole first sentence
        (line,) = [line for line in lines if line.startswith(f"  {name}  ")]
        sentence = " ".join(member.help.split()).partition(". ")[0].removesuffix(".")
        assert line.removesuffix(".").endswith(f"  {sentence}")


def test_all_commands_are_in_a_group_that_has_an_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = help_of(ALL[0], monkeypatch)

    for section in SECTIONS:
        at = lines.index(f"{section.title}:")
        shown = lines[at + 1 : lines.index("", at)]
        assert [line.split()[0] for line in shown] == [*section.commands, "$"]
        _, dollar, example = shown[-1].partition("$ ")
        assert dollar and example == section.example
        words = shlex.split(example)
        assert (words[0], words[1] in section.commands) == ("llamactl", True)
        assert problem(words[1:], tmp_path) == ""


def test_other_names_are_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = help_of(ALL[0], monkeypatch)
    at = lines.index("Other names:")

    assert "  list, ls        ps" in lines[at:]
    assert "list" not in {line.split()[0] for line in lines[:at] if line.split()}
    assert not {"list", "ls", "pull", "delete"} & {*root().list_commands(ALL[0])}
