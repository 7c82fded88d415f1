"""llamactl is killed at any of its writes, spawns and signals; the next one puts all right."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.ledger import until_pids
from support.served import Served, is_alive, serve

BASE = "/api/v1/instances"
SHARES = 8  # of the points: `make test-rest` tries one of each, `make soak` all
NEVER = 10**9


@dataclass
class Told:
    """What the server promised: whatever was under way when it died may be either way."""

    exists: dict[str, set[bool]] = field(default_factory=dict)
    wanted: dict[str, set[bool]] = field(default_factory=dict)
    seeds: dict[str, set[int]] = field(default_factory=dict)


def workload(server: Served, told: Told, model: Path) -> None:
    """Raises httpx.TransportError when the server dies on the way."""

    def change(
        name: str, path: str, method: str = "POST", body: Any = None, **becomes: Any
    ) -> None:
        facts: dict[str, dict[str, set[Any]]] = {
            "exists": told.exists, "wanted": told.wanted, "seeds": told.seeds,
        }  # fmt: skip
        for fact, value in becomes.items():
            facts[fact].setdefault(name, set()).add(value)
        answer = server.request(method, path, body)
        assert answer.status_code < 300, answer.text
        for fact, value in becomes.items():
            facts[fact][name] = {value}

    def create(name: str, *, start: bool) -> None:
        told.exists[name], told.wanted[name] = {False}, {False}
        body = {"model": str(model), "seed": 1}
        change(name, f"{BASE}/{name}?start={start}", "POST", body,
               exists=True, wanted=start, seeds=1)  # fmt: skip

    create("one", start=True)
    create("two", start=False)
    change("two", "/v1/completions", "POST",
           {"model": "two", "prompt": "a", "max_tokens": 1}, wanted=True)  # fmt: skip
    change("one", f"{BASE}/one", "PUT", {"seed": 2}, seeds=2)
    change("two", f"{BASE}/two/stop?wait=true", wanted=False)
    change("one", f"{BASE}/one/restart?wait=true&force=true")
    change("two", f"{BASE}/two/start?wait=true", wanted=True)
    change("one", f"{BASE}/one", "DELETE", exists=False, wanted=False)
    create("three", start=True)


def engines_of(model: Path) -> set[int]:
    """Every process on the machine that was started with this model."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(model).encode() in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return {pid for pid in found if is_alive(pid)}


def settled(server: Served, told: Told) -> dict[str, Any]:
    """All instances, once each is what is wanted."""

    def is_settled(rows: list[dict[str, Any]]) -> bool:
        assert not any(row["state"] == "failed" for row in rows), (rows, told)
        return all(
            row["state"] == ("ready" if row["desired"] == "running" else "stopped") for row in rows
        )

    return {row["name"]: row for row in server.until_answer(BASE, "what is wanted", is_settled)}


def check_after(server: Served, told: Told, model: Path) -> None:
    rows = settled(server, told)
    for name, may in told.exists.items():
        assert (name in rows) in may, (name, told)
    for name, row in rows.items():
        assert (row["desired"] == "running") in told.wanted[name] | {True} & told.exists[name]
        assert row["options"]["backend_options"]["seed"] in told.seeds[name]
    pids = {row["pid"] for row in rows.values() if row["pid"]}
    assert engines_of(model) == pids, "an engine that nobody owns, or two of one instance"
    until_pids(server.data_dir, list(pids))
    for name, row in rows.items():
        if row["state"] == "ready":
            body = {"model": name, "prompt": "a", "max_tokens": 1}
            assert server.request("POST", "/v1/completions", body).status_code == 200


def points_of(folder: Path, crash_at: int) -> tuple[str, ...]:
    script = Path(__file__).parents[1] / "support/crashing.py"
    return (str(script), str(crash_at), str(folder / "count"))


def crash(folder: Path, crash_at: int, model: Path) -> int:
    """Run the workload with a crash at that point, come back, check; how many were passed."""
    folder.mkdir()
    mine = folder / "crash.gguf"
    mine.symlink_to(model)
    data, told = folder / "data", Told()
    data.mkdir()
    try:
        with serve(data, program=points_of(folder, crash_at)) as server:
            workload(server, told, mine)
    except (httpx.TransportError, AssertionError) as exc:
        if isinstance(exc, AssertionError) and "did not start" not in str(exc):
            raise
    passed = (folder / "count").stat().st_size
    if passed >= crash_at:  # else it came to its end
        with serve(data) as server:
            check_after(server, told, mine)
    assert engines_of(mine) == set()
    return passed


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> int:
    """How many the workload has."""
    total = crash(tmp_path_factory.mktemp("points") / "whole", NEVER, tiny_model)
    assert total > SHARES
    return total


@pytest.mark.timeout(3600)  # some 150 points, where all are asked for
@pytest.mark.parametrize("share", range(SHARES))
def test_it_recovers_from_a_crash_at_any_point(
    tmp_path: Path, tiny_model: Path, points: int, share: int, scale: int
) -> None:
    """By default at one point of each share of them, at all of them where more is asked for."""
    shared = range(1 + share * points // SHARES, 1 + (share + 1) * points // SHARES)
    for crash_at in shared if scale > 1 else shared[:1]:
        passed = crash(tmp_path / str(crash_at), crash_at, tiny_model)
        assert passed > 0
