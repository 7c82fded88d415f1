"""Nobody fills our log: of one kind there are not many lines, and none is megabytes."""

from __future__ import annotations

import logging

import pytest

from llamactl.observe import configure, logger
from llamactl.observe.restraint import AT_ONCE, Restraint


def record(
    event: str, at: float, source: str = "llamactl.proxy", **fields: object
) -> logging.LogRecord:
    made = logging.LogRecord(source, logging.WARNING, "", 0, event, None, None)
    made.created = at
    made.fields = fields
    return made


def written(restraint: Restraint, *records: logging.LogRecord) -> list[logging.LogRecord]:
    return [one for one in records if restraint.filter(one)]


def test_a_flood_is_cut_and_counted() -> None:
    restraint = Restraint()

    at_once = written(restraint, *(record("request_refused", 0.0) for _ in range(1000)))
    (later,) = written(restraint, *(record("request_refused", 1.0) for _ in range(1000)))

    assert len(at_once) == AT_ONCE
    assert later.fields == {"left_out": 1000 - AT_ONCE}  # type: ignore[attr-defined]


def test_a_flood_hides_no_line_of_another_kind() -> None:
    restraint = Restraint()
    written(restraint, *(record("request_failed", 0.0, code="start_failed") for _ in range(1000)))
    written(restraint, *(record("instance_ready", 0.0, name="one") for _ in range(1000)))

    others = [
        record("request_failed", 0.0, code="upstream_died"),
        record("instance_ready", 0.0, name="two"),
        record("store_failed", 0.0),
    ]
    assert written(restraint, *others) == others


def test_what_clients_choose_makes_no_kinds() -> None:
    restraint = Restraint()
    lines = [record("request_refused", 0.0, reason=str(n)) for n in range(1000)]
    strangers = [record(f"{n} is odd", 0.0, "asyncio") for n in range(1000)]

    assert len(written(restraint, *lines, *strangers)) == 2 * AT_ONCE


def test_all_is_written_again_after_a_quiet_time() -> None:
    restraint = Restraint()
    for begins in (0.0, 1000.0):
        lines = [record("request_refused", begins) for _ in range(AT_ONCE)]
        assert len(written(restraint, *lines)) == AT_ONCE


def test_a_clock_that_is_set_back_is_no_allowance() -> None:
    restraint = Restraint()
    lines = [record("request_refused", 1000.0 - n) for n in range(1000)]

    assert len(written(restraint, *lines)) == AT_ONCE


def test_kinds_are_bounded() -> None:
    restraint = Restraint()
    for number in range(20_000):
        restraint.filter(record("instance_ready", float(number), name=str(number)))

    assert len(restraint._allowances) <= 4096


def test_each_request_has_its_line_where_that_is_asked_for() -> None:
    lines = [record("request_served", 0.0, "llamactl.requests") for _ in range(1000)]

    assert written(Restraint(), *lines) == lines


@pytest.mark.parametrize("json", [False, True])
def test_a_field_is_cut(capsys: pytest.CaptureFixture[str], json: bool) -> None:
    configure(json=json, level="info")

    logger("requests").info("request_served", path="/" + "a" * 1_000_000)

    line = capsys.readouterr().err
    assert len(line) < 3000 and "1000001 characters" in line


def test_a_field_looks_like_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=False, level="info")

    logger("requests").info("request_served", path='/a" status=200', status=404)

    assert r'path="/a\" status=200" status=404' in capsys.readouterr().err
