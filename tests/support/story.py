"""What must hold of every story, whatever a test did: read when a server has ended."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HOLDING = {"starting", "ready", "draining", "falling_asleep", "stopping", "lost"}
RESTING = {"stopped", "failed", "asleep"}
SLACK_S = 0.05  # the clock of a row is read after what it tells

Row = dict[str, Any]


def check_story(data_dir: Path, *, limit: int | None, ended_well: bool) -> None:
    database = data_dir / "llamactl.db"
    log = (data_dir.parent / f"{data_dir.name}.err").read_text()
    if not database.exists() or "event_lost" in log:  # a test that took the store away
        return
    assert "runner_died" not in log, log
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM instance_events ORDER BY id")]
    states = dict(connection.execute("SELECT id, state FROM instances").fetchall())
    connection.close()
    for row in rows:
        row["details"] = json.loads(row["details"])
    by_instance: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["from_state"] != row["to_state"]:
            by_instance[row["instance_id"]].append(row)
    for moves in by_instance.values():
        one_process_a_generation(moves)
    for instance_id in by_instance:
        nothing_is_signalled_while_leased([r for r in rows if r["instance_id"] == instance_id])
    places_are_never_given_twice(rows, limit)
    if ended_well and log.rfind("leaving, ") <= log.rfind("stopping ("):
        unsettled = {i: state for i, state in states.items() if state not in RESTING}
        last = {i: by_instance[i][-3:] for i in unsettled}
        assert unsettled == {}, f"a state that should pass has lasted: {last}"


def one_process_a_generation(moves: list[Row]) -> None:
    for before, after in itertools.pairwise(moves):
        assert before["to_state"] == after["from_state"], (before, after)
        assert before["epoch"] < after["epoch"], (before, after)
        assert before["generation"] <= after["generation"], (before, after)
    starts = [
        m["generation"] for m in moves
        if m["to_state"] == "starting" and m["event"] != "NodeFound" and not wakes(m)
    ]  # fmt: skip
    assert len(starts) == len(set(starts)), "two processes of one generation"


def wakes(move: Row) -> bool:
    """Is it a start of a process that is there?"""
    return str(move["from_state"]) in ("asleep", "falling_asleep", "draining")


def nothing_is_signalled_while_leased(rows: list[Row]) -> None:
    """But by force, for an engine that hangs, or when the drain's time is over."""
    began, may_take = 0.0, 0.0
    for row in rows:
        if "may_take_s" in row["details"]:
            began, may_take = row["at"], row["details"]["may_take_s"]
        leased = row["to_state"] == "stopping" and row["details"].get("leases", 0) > 0
        if not leased or row["from_state"] == "stopping" or "force" in row["details"]:
            continue
        if row["event"] != "BecameUnhealthy":
            assert row["event"] in ("Drained", "SleepFailed"), row
            assert row["at"] - began >= may_take - SLACK_S, row


def places_are_never_given_twice(rows: Iterable[Row], limit: int | None) -> None:
    holding: set[str] = set()
    for row in rows:
        if row["from_state"] == row["to_state"]:
            continue
        (holding.add if row["to_state"] in HOLDING else holding.discard)(row["instance_id"])
        assert limit is None or len(holding) <= limit, (row, holding)
