"""What is kept of conversations is listed, counted and removed, on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamactl.client import Client
from support.installed import PYTHON
from support.served import BASE, Served, data_folder, serve
from support.waits import until

CONTEXTS = "/api/v1/contexts"
PROMPT = "one two three four " * 12
KEPT = ("one", "two")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    """With an instance of which nothing is kept."""
    folder = tmp_path_factory.mktemp("listed")
    with serve(data_folder(folder, "instances: {context_min_tokens: 32}")) as server:
        for name in (*KEPT, "never"):
            body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512}}
            made = server.request("POST", f"{BASE}/{name}?start=false", body)
            assert made.status_code == 201, made.text
        server.request("PUT", f"{BASE}/one", {"aliases": ["eins"]})
        yield server


@pytest.fixture
def kept(server: Served) -> Served:
    """Both have a context, and are stopped."""
    there = [row["instance"] for row in listed(server)]
    for name in KEPT:
        if name in there:
            continue
        body = {"model": name, "prompt": PROMPT, "max_tokens": 1}
        assert server.request("POST", "/v1/completions", body).status_code == 200
        assert server.request("POST", f"{BASE}/{name}/stop?wait=true").status_code == 200
    assert len(listed(server)) == 2
    return server


def listed(server: Served, query: str = "") -> list[dict[str, Any]]:
    answer = server.request("GET", f"{CONTEXTS}{query}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def files(server: Served) -> list[Path]:
    return [path for path in (server.data_dir / "contexts").rglob("*") if path.is_file()]


def llamactl(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", "contexts", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(server.data_dir)},
    )  # fmt: skip


def number(server: Served, name: str) -> float:
    """Of the metrics."""
    lines = server.request("GET", "/metrics").text.splitlines()
    [value] = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def test_each_kept_context_is_listed_with_its_instance_and_size(kept: Served) -> None:
    rows = listed(kept)
    assert [row["instance"] for row in rows] == ["one", "two"]
    assert [row["instance_id"] for row in rows] == [kept.instance(name)["id"] for name in KEPT]
    assert sum(row["size"] for row in rows) == sum(
        file.stat().st_size for file in files(kept) if file.suffix == ".bin"
    )
    for row in rows:
        assert row["tokens"] > 32
        assert row["saved_at"] <= row["used_at"] <= time.time()
        assert (row["reused_at"], row["spared_s"]) == (None, 0), "nobody asked again"
    assert "one two three" not in json.dumps(rows)

    assert listed(kept, "?instance=eins") == rows[:1]
    assert listed(kept, "?instance=never") == []
    with Client(kept.url, kept.key) as client:
        assert [row.instance for row in client.contexts.list()] == ["one", "two"]
        assert [row.slot for row in client.contexts.list("two")] == [rows[1]["slot"]]


def test_those_of_one_instance_or_of_all_are_removed(kept: Served) -> None:
    assert kept.request("DELETE", f"{CONTEXTS}?instance=one").json() == {"removed": 1}
    assert [row["instance"] for row in listed(kept)] == ["two"]
    assert kept.request("DELETE", f"{CONTEXTS}?instance=one").json() == {"removed": 0}
    assert kept.request("DELETE", CONTEXTS).json() == {"removed": 1}
    assert listed(kept) == []
    assert files(kept) == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_name_that_is_unknown_or_empty_does_not_mean_all(kept: Served, method: str) -> None:
    unknown = kept.request(method, f"{CONTEXTS}?instance=nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "instance_not_found")
    assert kept.request(method, f"{CONTEXTS}?instance=").status_code == 400
    assert len(listed(kept)) == 2


def test_an_inference_key_sees_and_removes_nothing(kept: Served) -> None:
    key = kept.request("POST", "/api/v1/auth/keys", {"name": "anna"}).json()["key"]
    for method in ("GET", "DELETE"):
        assert kept.request(method, CONTEXTS, key=key).status_code == 403
        assert kept.request(method, CONTEXTS, key="").status_code == 401
    assert len(listed(kept)) == 2


def test_a_context_without_an_instance_is_listed_and_removed(kept: Served) -> None:
    """It should not be there; a disk that was copied may have one."""
    for file in files(kept):
        if file.parent.name == kept.instance("one")["id"]:
            at = kept.data_dir / "contexts/gone" / file.name
            at.parent.mkdir(exist_ok=True)
            at.write_bytes(file.read_bytes())
    assert [row["instance"] for row in listed(kept)] == ["", "one", "two"]
    assert llamactl(kept, "ls").stdout.splitlines()[1].split()[0] == "gone"
    assert kept.request("DELETE", CONTEXTS).json() == {"removed": 3}


def test_contexts_are_listed_and_removed_on_the_command_line(kept: Served) -> None:
    first, *rows = [line.split() for line in llamactl(kept, "ls").stdout.splitlines()]
    assert first == ["INSTANCE", "SLOT", "TOKENS", "SIZE", "SAVED", "USED", "SPARED"]
    assert [row[0] for row in rows] == ["one", "two"]
    assert json.loads(llamactl(kept, "ls", "two", "--json").stdout) == listed(kept)[1:]

    for words in ((), ("one", "--all"), ("", "--json")):
        refused = llamactl(kept, "rm", *words)
        assert refused.returncode == 1 and "--all" in refused.stderr, refused
    assert llamactl(kept, "rm", "nobody").returncode == 1
    assert len(listed(kept)) == 2
    assert llamactl(kept, "rm", "one").stdout == "1 removed\n"
    assert json.loads(llamactl(kept, "rm", "--all", "--json").stdout) == {"removed": 1}
    assert listed(kept) == []


def test_contexts_are_among_the_metrics(kept: Served) -> None:
    sizes = [row["size"] for row in listed(kept)]
    assert number(kept, "llamactl_contexts_bytes") == sum(sizes) > 0
    label = '{instance="one"}'
    saved = number(kept, f"llamactl_contexts_saved_total{label}")
    restored = number(kept, f"llamactl_contexts_restored_total{label}")
    used = number(kept, f"llamactl_contexts_used_total{label}")
    body = {"model": "one", "prompt": PROMPT, "max_tokens": 1}
    assert kept.request("POST", "/v1/completions", body).status_code == 200
    until(
        "the count of its use",
        lambda: number(kept, f"llamactl_contexts_used_total{label}") == used + 1,
    )
    kept.request("POST", f"{BASE}/one/stop?wait=true")

    assert number(kept, f"llamactl_contexts_saved_total{label}") >= saved > 0
    assert number(kept, f"llamactl_contexts_restored_total{label}") == restored + 1
    assert number(kept, f"llamactl_contexts_tokens_restored_total{label}") > 32
    assert number(kept, f"llamactl_contexts_tokens_used_total{label}") > 32
    assert number(kept, f"llamactl_contexts_not_used_total{label}") == 0
    assert number(kept, f"llamactl_contexts_save_seconds_total{label}") > 0
    assert number(kept, 'llamactl_contexts_saved_total{instance="never"}') == 0


def test_what_is_in_the_way_is_said_before_and_after_and_keeps_nothing_from_starting(
    server: Served, tiny_model: Path
) -> None:
    mine = {"model": str(tiny_model), "ctx_size": 512, "slot_save_path": str(server.data_dir)}
    body = {"backend_options": mine, "keep_context": "on"}
    why = "slot_save_path is set"
    assert why in server.request("POST", f"{BASE}/mine/preview", body).json()["context_obstacle"]
    made = server.request("POST", f"{BASE}/mine", body).json()
    assert (made["state"], why in made["context_obstacle"]) == ("ready", True)
    plan = server.request("POST", f"{BASE}/mine/plan").json()
    assert plan["context_obstacle"] == made["context_obstacle"]
    assert server.instance("one")["context_obstacle"] == ""
    [found] = [row for row in server.request("GET", "/api/v1/doctor").json()
               if row["about"] == "contexts"]  # fmt: skip
    assert found["level"] == "warning"
    assert "mine" in found["said"] and why in found["said"]

    off = server.request("PUT", f"{BASE}/mine", {"keep_context": "off"}).json()
    assert off["context_obstacle"] == ""
    [found] = [row for row in server.request("GET", "/api/v1/doctor").json()
               if row["about"] == "contexts"]  # fmt: skip
    assert found["level"] == "ok"
    assert server.request("DELETE", f"{BASE}/mine").status_code == 204


def test_no_backup_and_no_export_has_a_context(kept: Served, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    words = [PYTHON, "-m", "llamactl", "backup", str(copy), "--data-dir", str(kept.data_dir)]
    subprocess.run(words, check=True, env={**os.environ, "HOME": str(kept.data_dir)})
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    written = [copy.read_bytes(), kept.request("GET", "/api/v1/config/instances").content]

    for row in listed(kept):
        folder = kept.data_dir / "contexts" / row["instance_id"]
        start = (folder / f"slot-{row['slot']}.bin").read_bytes()[4096 : 4096 + 64]
        assert any(start) and not any(start in text for text in written)
    for text in written:
        assert b"one two three" not in text and b"slot-0" not in text
