"""Writes docs/performance.md and its chart."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.proxy.measures import RUNS
from benchmarks.proxy.rows import SYSTEMS, Row

DOCS = Path(__file__).parents[2] / "docs"
_COLOURS = {
    "llamactl": "#1a6fb0",
    "llamactl, 2 processes": "#74a9d8",
    "bare relay": "#8a8a8a",
    "nginx": "#2a8a3a",
    "LiteLLM": "#b0601a",
}
_CHARTED = ("JSON request, 32 connections: CPU", "SSE chunk, 64 streams: CPU")
_TEXT = Path(__file__).parent / "page.md"


def write(rows: Sequence[Row], keys: int, instances: int) -> None:
    _draw(DOCS / "performance" / "cpu.svg", [row for row in rows if row.what in _CHARTED])
    lines = [
        f"| | {' | '.join(SYSTEMS)} | llamactl : nginx |",
        "|---|" + "---|" * (len(SYSTEMS) + 1),
    ]
    lines += [
        f"| {row.what} | {' | '.join(map(row.shown, SYSTEMS))} | {row.ratio} |" for row in rows
    ]
    text = _TEXT.read_text().format(
        keys=keys, instances=instances, runs=RUNS, table="\n".join(lines),
        machine=_machine(), commit=_commit(), date=datetime.datetime.now(datetime.UTC).date(),
    )  # fmt: skip
    (DOCS / "performance.md").write_text(text)


def _draw(path: Path, rows: Sequence[Row]) -> None:
    mpl.rcParams["svg.hashsalt"] = "llamactl"  # the same picture from the same numbers
    figure, axes = plt.subplots(figsize=(7, 3.1))
    for place, row in enumerate(reversed(rows)):
        for offset, system in enumerate(reversed(SYSTEMS)):
            value = row.median(system)
            if value is None:
                continue
            height = place + (offset - 2) * 0.17
            label = system if place == 0 else None
            axes.barh(height, value, 0.155, color=_COLOURS[system], label=label)
            axes.text(value * 1.05, height, row.shown(system), va="center", fontsize=7)
    axes.set(xscale="log", xlabel="µs of CPU, logarithmic", xlim=(1, 1e5))
    axes.set_yticks(range(len(rows)), [row.what.rpartition(":")[0] for row in reversed(rows)])
    axes.tick_params(labelsize=8)
    axes.legend(*(reversed(part) for part in axes.get_legend_handles_labels()), fontsize=7,
                frameon=False, loc="lower right")  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    cores = sum(line.startswith("processor") for line in lines)
    version = platform.python_version()
    return f"{model or platform.machine()}, {cores} cores, shared with others, Python {version}"


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout

    return git("rev-parse", "--short", "HEAD").strip()
