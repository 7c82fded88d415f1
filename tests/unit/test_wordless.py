"""A start that failed without a word: what is seen from outside becomes its cause."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from llamactl.backends import LLAMA_CPP
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine.silent_exit import with_cause
from llamactl.node.process.process import Ended

SILENT = ("--- 2026-01-31T12:00:00 start 1: llama-server", "0.00.001 I srv init: initializing ...")


def report(*lines: str, failure: FailureClass = FailureClass.UNKNOWN) -> ExitReport:
    return ExitReport(failure, code=1, log_tail=lines)


def cause(found: ExitReport, model: str, port: int) -> FailureClass:
    options = InstanceOptions(backend_options={"model": model})
    record = ProcessRecord(
        "id", "local", "id", 1, 4711, 1, "boot", port, "", "", (), options, "", 0
    )
    explained = with_cause(found, LLAMA_CPP, record, found.log_tail)
    assert bool(explained.advice) == (explained.failure is not found.failure)
    return explained.failure


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_model_that_is_away_or_is_none(tmp_path: Path, free: int) -> None:
    text, whole = tmp_path / "text.gguf", tmp_path / "whole.gguf"
    text.write_text("hello")
    whole.write_bytes(b"GGUF" + bytes(100))

    found = [cause(report(*SILENT), str(path), free) for path in (tmp_path / "none", text, whole)]

    assert found == [
        FailureClass.MODEL_FILE_MISSING, FailureClass.MODEL_INVALID, FailureClass.UNKNOWN,
    ]  # fmt: skip


def test_a_part_of_a_split_model_that_is_missing_is_numbered(tmp_path: Path, free: int) -> None:
    first = tmp_path / "m-00001-of-00003.gguf"
    for file in (first, tmp_path / "m-00003-of-00003.gguf"):
        file.write_bytes(b"GGUF")
    options = InstanceOptions(backend_options={"model": str(first)})
    record = ProcessRecord("id", "local", "id", 1, 1, 1, "boot", free, "", "", (), options, "", 0)

    found = with_cause(report(*SILENT), LLAMA_CPP, record, SILENT)

    assert found.failure is FailureClass.MODEL_FILE_MISSING
    assert "part 2 of 3 of the file in `model` is missing" in found.advice


@pytest.mark.parametrize("failure", [FailureClass.UNKNOWN, FailureClass.CRASHED])
@pytest.mark.parametrize(
    ("words", "environment", "name"),
    [(["--log-disable"], {}, "log_disable"), (["-lv", "0"], {}, "verbosity"),
     (["--verbosity", "-1"], {}, "verbosity"), (["-lv", "3", "-lv", "0"], {}, "verbosity"),
     ([], {"LLAMA_ARG_LOG_VERBOSITY": "0"}, "verbosity")],
)  # fmt: skip
def test_a_log_that_is_switched_off_is_said(
    words: list[str], environment: dict[str, str], name: str, failure: FailureClass, free: int
) -> None:
    """Wherever that was said: the instance, the settings or a variable."""
    command = ("/usr/bin/llama-server", "--model", "m.gguf", *words)
    given = InstanceOptions(environment=environment)
    record = ProcessRecord(
        "id", "local", "id", 1, 1, 1, "boot", free, "", "", command, given, "", 0
    )

    found = with_cause(report(failure=failure), LLAMA_CPP, record, ())

    assert found.advice == f"`{name}` switches its log off; remove it to see why"


@pytest.mark.parametrize("words", [[], ["-lv", "0", "-lv", "3"], ["--verbosity", "1"]])
def test_a_log_that_says_errors_is_not_blamed(words: list[str], free: int) -> None:
    record = ProcessRecord(
        "id", "local", "id", 1, 1, 1, "boot", free, "", "", ("llama-server", *words),
        InstanceOptions(), "", 0,
    )  # fmt: skip
    assert with_cause(report(), LLAMA_CPP, record, ()).advice == ""


def test_a_port_that_somebody_else_has(free: int) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", free))
        stranger.listen()

        assert cause(report(*SILENT), "org/model", free) is FailureClass.PORT_TAKEN


@pytest.mark.parametrize("line", ["E srv main: exiting due to an error", "docker: no such image"])
def test_what_the_engine_said_itself_counts(line: str, free: int) -> None:
    """A path in a container is none of this machine's: what it complains of is another thing."""
    found = cause(report(*SILENT, line), "/models/in-a-container.gguf", free)

    assert found is FailureClass.UNKNOWN
    killed = report(*SILENT, failure=FailureClass.KILLED)
    assert cause(killed, "/nowhere.gguf", free) is FailureClass.KILLED


def test_a_log_is_read_once_for_a_report_and_beside_the_event_loop(free: int) -> None:
    """It may be long, and on a slow disk."""
    readers = []

    class Log:
        async def settled(self) -> None: ...

        def lines_since(self, *_: int) -> tuple[str, ...]:
            readers.append(threading.current_thread())
            return SILENT

    options = InstanceOptions(backend_options={"model": "/nowhere.gguf"})
    record = ProcessRecord("id", "local", "id", 1, 1, 1, "boot", free, "", "", (), options, "", 0)
    process = EngineProcess(cast(Any, None), LLAMA_CPP, record, cast(Any, Log()))

    found = asyncio.run(process.report(Ended(1, None)))

    assert found.failure is FailureClass.MODEL_FILE_MISSING and found.log_tail == SILENT
    assert len(readers) == 1 and readers[0] is not threading.main_thread()
