"""A start that failed without a word: what is seen from outside becomes its cause."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from llamactl.backends import LLAMA_CPP
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.node.engine.silent_exit import with_cause

SILENT = ("--- 2026-01-31T12:00:00 start 1: llama-server", "0.00.001 I srv init: initializing ...")


def report(*lines: str, failure: FailureClass = FailureClass.UNKNOWN) -> ExitReport:
    return ExitReport(failure, code=1, log_tail=lines)


def cause(found: ExitReport, model: str, port: int) -> FailureClass:
    options = InstanceOptions(backend_options={"model": model})
    record = ProcessRecord(
        "id", "local", "id", 1, 4711, 1, "boot", port, "", "", (), options, "", 0
    )
    explained = with_cause(found, LLAMA_CPP, record)
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
