"""Tables of the command line, on terminals of several widths."""

from __future__ import annotations

import pytest
from rich.console import Console

from llamactl.cli.table import table_of

PS = ("NAME", "STATUS", "SINCE", "BUSY", "MEMORY", "PORT", "PID", "NOTE")
WHY = "the engine exited with code 1 (model_invalid): the file is no model; fetch it again " * 3
ROWS = [
    ["qwen3-coder-30b", "restarting", "12s", "-", "-", "-", "-", WHY],
    ["gemma", "running", "3m", "2", "12.5 GiB", "8001", "123456", "-"],
    ["[bold]x", "failed", "4d", "-", "-", "-", "-", WHY],
]


def printed(rows: list[list[str]], width: int) -> list[str]:
    console = Console(width=width, highlight=False)
    with console.capture() as said:
        console.print(table_of(PS, rows, width))
    return said.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200, 400])
def test_name_and_status_stay_whole_beside_a_long_message(width: int) -> None:
    head, _, *lines = printed(ROWS, width)

    assert head.split()[:2] == ["NAME", "STATUS"]
    assert [line.split()[:2] for line in lines] == [row[:2] for row in ROWS]
    assert max(map(len, lines)) <= width
    assert ("the engine" in lines[0]) == (width > 40)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_without_messages_all_columns_are_there(width: int) -> None:
    rows = [[*row[:-1], "-"] for row in ROWS]

    assert printed(rows, width)[0].split() == [*PS]
    assert "12.5 GiB" in printed(rows, width)[3]


def test_a_name_longer_than_the_terminal_is_folded() -> None:
    _, _, *lines = printed([["n" * 128, *ROWS[0][1:]]], 60)

    assert "".join(line.split()[0] for line in lines) == "n" * 128
    assert "restarting" in lines[0]
