"""Commands by the names that other programs give them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llamactl.cli.guide.names import ALIASES, MEMBER_ALIASES, meant, spelled_out

COMMANDS = ["run", "ps", "create", "start", "stop", "status", "show", "models", "rm"]


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("list", "ps"),
        ("ls --json", "ps --json"),
        ("-v delete a b", "-v rm a b"),
        ("pull org/repo:Q4_0 --no-wait", "models pull org/repo:Q4_0 --no-wait"),
        ("version", "--version"),
        ("help", "--help"),
        ("help models pull", "models pull --help"),
        ("show list", "show list"),
        ("rm ls pull", "rm ls pull"),
        ("--version", "--version"),
        ("", ""),
    ],
)
def test_the_first_word_may_be_another_programs(typed: str, understood: str) -> None:
    assert " ".join(spelled_out(typed.split(), ALIASES)) == understood


def test_a_group_has_names_of_its_own() -> None:
    assert spelled_out(["list", "--json"], MEMBER_ALIASES) == ["ls", "--json"]


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("statsu", "status"),
        ("strat", "start"),
        ("modles", "models"),
        ("load", "start"),
        ("unload", "stop"),
        ("images", "models ls"),
        ("inspect", "show"),
        ("xyzzy", ""),
    ],
)
def test_an_unknown_word_leads_to_the_command_it_may_mean(typed: str, command: str) -> None:
    assert meant(typed, COMMANDS) == command


def test_in_a_group_only_its_own_commands_are_meant() -> None:
    assert meant("download", ["ls", "pull", "rm"]) == "pull"
    assert meant("delete", ["create", "ls", "show", "revoke"]) == "revoke"


@pytest.mark.parametrize("words", ["--version", "-v serve --help", "version", ""])
def test_no_command_is_imported_that_is_not_asked_for(words: str) -> None:
    """All of them take several times as long as the rest of the program."""
    code = f"""
import sys
from llamactl.cli.main import main
sys.argv = ["llamactl", *{words.split()}]
try:
    main()
except SystemExit as exc:
    assert not exc.code, exc.code
print([name for name in sys.modules if name.startswith("llamactl.cli.commands.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    expected = ["llamactl.cli.commands.serve"] if "serve" in words else []
    assert done.stdout.splitlines()[-1] == str(expected), done.stderr
