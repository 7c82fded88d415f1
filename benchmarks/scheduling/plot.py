"""Draws how long requests waited, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

_COLOURS = ("#b0601a", "#1a6fb0", "#2a8a3a")


def plot(path: Path, title: str, waits: Mapping[str, Sequence[float]]) -> None:
    """For each policy: which share of the requests waited at most how long."""
    mpl.rcParams["svg.hashsalt"] = "llamactl"  # the same picture from the same numbers
    figure, axes = plt.subplots(figsize=(6, 3))
    for colour, (name, values) in zip(_COLOURS, waits.items(), strict=False):
        ordered = sorted(values)
        shares = [(n + 1) / len(ordered) for n in range(len(ordered))]
        axes.step([max(v, 0.1) for v in ordered], shares, where="post", label=name, color=colour)
    axes.set(xscale="log", xlabel="seconds waited", ylabel="share of requests", ylim=(0, 1.02))
    axes.set_title(title, fontsize=8, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)
