"""Tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_GAP = 3  # columns between two of a table
_NOTE = 20  # of a note are shown before further columns are
COLOURS = {"running": "green", "failed": "red", "starting": "yellow", "stopping": "yellow",
           "restarting": "yellow", "stopped": "dim", "asleep": "dim"}  # fmt: skip


def table_of(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> Table:
    """`room`: the terminal's width. A last column NOTE gives way to the others."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    if columns[-1] == "NOTE":
        widths = _widths(columns, cells, room)
    else:
        widths = dict.fromkeys(range(len(columns)))
    for at, width in widths.items():
        overflow = "fold" if at == 0 else "ellipsis"
        table.add_column(columns[at], width=width, overflow=overflow, no_wrap=at > 0)  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*(_coloured(row[at]) for at in widths))
    return table


def _widths(
    columns: Sequence[str], cells: Sequence[Sequence[str]], room: int
) -> dict[int, int | None]:
    """Of the columns that are shown: the first two are, and of the others what there is room for.

    The first, which is a name, is folded where not even that much room is.
    """
    from rich.cells import cell_len

    natural = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    first, second, *rest, note = natural
    shown: dict[int, int | None] = {0: max(1, min(first, room - second - _GAP)), 1: second}
    left = room - (shown[0] or 0) - second - _GAP
    wanted = min(note, _NOTE) + _GAP
    for at, width in enumerate(rest, 2):
        if left - width - _GAP >= wanted:
            shown[at] = width
            left -= width + _GAP
    if left - _GAP >= len("NOTE"):
        shown[len(natural) - 1] = min(note, left - _GAP)
    return shown


def _coloured(cell: str) -> str:
    from rich.markup import escape

    colour = COLOURS.get(cell)
    return f"[{colour}]{cell}[/]" if colour else escape(cell)
