"""Numbers of several systems side by side."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

OURS, TWO, BARE = "llamactl", "llamactl, 2 processes", "bare relay"
NGINX, LITELLM = "nginx", "LiteLLM"
SYSTEMS = (OURS, TWO, BARE, NGINX, LITELLM)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured in each run, by system."""

    what: str
    unit: str
    runs: Mapping[str, Sequence[float]]
    compared: bool = True  # a ratio says something

    def median(self, system: str) -> float | None:
        values = self.runs.get(system)
        return statistics.median(values) if values else None

    @property
    def ratio(self) -> str:
        """Ours to nginx's."""
        ours, nginx = self.median(OURS), self.median(NGINX)
        if not self.compared or ours is None or nginx is None or nginx < 0.01:
            return ""
        return f"{ours / nginx:.2f}"

    def shown(self, system: str) -> str:
        value = self.median(system)
        if value is None:
            return ""
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:,.{digits}f} {self.unit}".strip()


def show(rows: Sequence[Row]) -> None:
    table = Table("", *SYSTEMS, "llamactl : nginx", "runs of llamactl / nginx")
    for row in rows:
        pairs = zip(row.runs[OURS], row.runs.get(NGINX, ()), strict=False)
        each = "  ".join(f"{a:.3g}/{b:.3g}" for a, b in pairs)
        table.add_row(row.what, *map(row.shown, SYSTEMS), row.ratio, each)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
