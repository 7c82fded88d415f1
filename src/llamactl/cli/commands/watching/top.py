"""`llamactl top`: a live view of the instances."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.session import Session, command, inert, size, span
from llamactl.cli.table import table_of

if TYPE_CHECKING:
    from rich.table import Table

    from llamactl.schemas.instances import InstanceBody
    from llamactl.schemas.live import InstanceNumbers, LiveBody


@command
@examples("llamactl top")
def top(
    s: Session,
    count: Annotated[
        int, typer.Option("--count", help="Number of refreshes; 0 runs until Ctrl-C.", min=0)
    ] = 0,
) -> None:
    """Show a live view of the instances.

    Includes state, memory, requests, tokens per second and idle time.
    """
    from rich.live import Live

    if s.as_json:
        s.print_json(s.client.instances.list())
        return
    seen = Seen()
    with (
        Live(console=s.console, auto_refresh=False, screen=False) as live,
        closing(s.client.live()) as messages,
        suppress(KeyboardInterrupt),
    ):
        for looks, message in enumerate(messages, 1):
            seen.add(message)
            live.update(_table(seen, s.console.width), refresh=True)
            if looks == count:
                return


class Seen:
    """The instances, and what was last said of each."""

    def __init__(self) -> None:
        self.rows: dict[str, InstanceBody] = {}
        self._numbers: dict[str, InstanceNumbers] = {}
        self._tokens_s: dict[str, float] = {}

    def add(self, message: LiveBody) -> None:
        if message.whole:
            self.rows.clear()
            self._numbers.clear()
        for instance_id in message.gone:
            self.rows.pop(instance_id, None)
        for row in message.instances:
            self.rows[row.id] = row
            if row.pid is None:
                self._tokens_s.pop(row.id, None)
        self._numbers.update(message.numbers)
        for instance_id, numbers in message.numbers.items():
            if numbers.rates:
                self._tokens_s[instance_id] = numbers.rates[-1].tokens_s

    def numbers(self, row: InstanceBody) -> tuple[int, int, float, float | None]:
        """Requests that it answers, that wait, tokens per second, seconds of idle time left."""
        said = self._numbers.get(row.id)
        rate = self._tokens_s.get(row.id, 0.0) if row.pid is not None else 0.0
        if said is None:
            return row.leases, row.waiting, rate, row.idle_left_s
        return said.leases, said.waiting, rate, said.idle_left_s


def _table(seen: Seen, room: int) -> Table:
    columns = ("NAME", "STATUS", "MEMORY", "BUSY", "QUEUE", "TOKENS/S", "STOPS IN", "NOTE")
    cells = []
    for row in sorted(seen.rows.values(), key=lambda row: (row.status == "stopped", row.name)):
        runs = row.status == "running"
        leases, waiting, rate, idle_left_s = seen.numbers(row)
        cells.append(
            [
                row.name,
                row.status,
                size(row.memory.ram + row.memory.shared) if runs else "-",
                str(leases or "-"),
                str(waiting or "-"),
                f"{rate:.1f}" if rate else "-",
                "-" if idle_left_s is None else span(idle_left_s),
                inert(row.message) or "-",
            ]
        )
    return table_of(columns, cells, room)
