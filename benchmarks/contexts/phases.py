"""Where the time to a first token went, by the events of the instance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import httpx

from benchmarks.contexts.asking import Answer
from benchmarks.contexts.serving import INSTANCES


@dataclass(frozen=True, slots=True)
class Phases:
    """In seconds; all 0.0 but the last one if no process started."""

    place: float  # until the start begins: a place, and the end of who had it
    load: float  # from there until the engine is ready
    restore: float
    answer: float  # from there to the first token


def phases(client: httpx.Client, name: str, answer: Answer) -> Phases:
    rows = client.get(f"{INSTANCES}/{name}/events?limit=100").json()
    since = {row["event"]: row for row in rows if row["at"] >= answer.asked_at - 0.001}
    started = [row["at"] for row in since.values() if row["to_state"] == "starting"]
    if not started or "BecameReady" not in since:
        return Phases(0.0, 0.0, 0.0, answer.first_s)
    began, ready = min(started), since["BecameReady"]["at"]
    restored = since.get("ContextRestored", {}).get("details", {}).get("seconds", 0.0)
    spent = ready - answer.asked_at
    return Phases(began - answer.asked_at, ready - began - restored, restored,
                  answer.first_s - spent)  # fmt: skip


def medians(found: Sequence[Phases]) -> Phases:
    return Phases(*map(statistics.median, zip(*map(astuple, found), strict=True)))
