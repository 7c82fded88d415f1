"""The node's ledger: what it says after a crash, a full disk, and a long life."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.instance import Container, InstanceOptions
from llamactl.node import ledger as module
from llamactl.node.ledger import Ledger

OPTIONS = InstanceOptions(backend_options={"model": "m", "lora": ["a"]}, aliases=("x",))
RECORD = ProcessRecord(
    "r", "local", "i", 1, 4711, 2**40, "boot", 8001, "key", "engine", ("a", "b"), OPTIONS, "h", 7
)


def test_what_was_prepared_and_did_not_end_is_found_again(tmp_path: Path) -> None:
    other = replace(RECORD, replica_id="s")
    ledger = Ledger(tmp_path / "l")
    ledger.prepared(RECORD)
    ledger.prepared(other)
    ledger.ended(RECORD.process)

    assert Ledger(tmp_path / "l").records == ledger.records == [other]
    assert (tmp_path / "l").stat().st_mode & 0o777 == 0o600


def test_a_container_is_found_again_and_a_line_of_an_earlier_version_has_none(
    tmp_path: Path,
) -> None:
    boxed = replace(
        RECORD, replica_id="s", container="docker:abc",
        options=InstanceOptions(container=Container("engine", mounts=("/a",), env={"A": "b"})),
    )  # fmt: skip
    file = tmp_path / "l"
    Ledger(file).prepared(RECORD)
    entry = orjson.loads(file.read_bytes())
    del entry["prepared"]["container"]
    for name in ("container", "docker_enabled"):
        del entry["prepared"]["options"][name]
    file.write_bytes(orjson.dumps(entry) + b"\n")
    Ledger(file).prepared(boxed)

    assert Ledger(file).records == [RECORD, boxed]


def test_a_line_that_is_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    Ledger(tmp_path / "l").prepared(RECORD)
    with (tmp_path / "l").open("ab") as file:
        file.write(b'{"prepared": {"replica_id": "x"}}\n[]\n\xff\n{"ended": ["r"')

    ledger = Ledger(tmp_path / "l")
    ledger.prepared(other := replace(RECORD, replica_id="s"))

    assert Ledger(tmp_path / "l").records == ledger.records == [RECORD, other]


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPACT_AT", 10_000)
    ledger = Ledger(tmp_path / "l")
    ledger.prepared(RECORD)
    for generation in range(200):
        ledger.prepared(one := replace(RECORD, replica_id="s", generation=generation))
        ledger.ended(one.process)

    assert (tmp_path / "l").stat().st_size < 20_000
    assert Ledger(tmp_path / "l").records == [RECORD]


def test_what_nobody_prepared_has_no_end(tmp_path: Path) -> None:
    Ledger(tmp_path / "l").ended(ProcessId("nobody", 1))

    assert not (tmp_path / "l").exists()
