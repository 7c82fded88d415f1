"""What an engine says comes by a pipe, to a process that is there just as long as it is wanted."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from llamactl.node.logs.log import InstanceLog
from llamactl.node.logs.log_pipe import LogPipe
from support.log_writers import kill, log_writers, pair, until_none


def log_of(data: Path) -> InstanceLog:
    (data / "logs").mkdir(exist_ok=True)
    return InstanceLog(data / "logs/one.log", data)


def test_what_an_engine_says_is_found_by_where_it_began(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    for number in (1, 2):
        fd, began = log.open(f"--- start {number}")
        os.write(fd, b"engine %d\n" % number)
        os.close(fd)
        asyncio.run(log.settled())

        assert log.lines_since(began, 9) == (f"engine {number}",)
    assert log.path.read_text() == "--- start 1\nengine 1\n--- start 2\nengine 2\n"


def test_an_engine_that_closed_its_output_needs_no_writer(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    fd, _ = log.open("--- start")
    os.close(fd)
    asyncio.run(log.settled())  # a writer that is just starting shows no command line
    until_none(tmp_path)
    log.tend()

    assert log_writers(tmp_path) == []


def test_what_nobody_reads_gets_a_writer_and_only_one(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    fd, _ = log.open("--- start")
    kill(*pair(tmp_path))
    os.write(fd, b"one\n")
    for _ in range(3):
        log.tend()

    running = pair(tmp_path)
    log.tend()
    assert log_writers(tmp_path) == running
    os.close(fd)
    until_none(tmp_path)
    assert log.path.read_text().endswith("one\n")


def test_a_deleted_log_takes_its_pipe_along(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    fd, _ = log.open("--- start")
    log.remove()
    os.write(fd, b"late\n")
    os.close(fd)
    until_none(tmp_path)

    assert LogPipe(tmp_path, log.path).rest() is None
    log.tend()
    assert [path.name for path in (tmp_path / "logs").rglob("*")] == [".pipes"]
