"""The log file is read from its end, whatever its size; our own log keeps to one line an event."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.observe import configure, logger
from llamactl.runtime.logs import InstanceLog


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@given(
    lines=st.lists(st.text("ab\x00", max_size=3).map(str.encode), max_size=12),
    ended=st.booleans(),
    count=st.integers(1, 14),
    repeat=st.sampled_from([1, 1, 30_000]),
)
def test_tail_equals_the_last_lines_of_the_whole(
    folder: Path, lines: list[bytes], ended: bool, count: int, repeat: int
) -> None:
    text = b"\n".join(line * repeat for line in lines) + (b"\n" if ended and lines else b"")
    path = folder / "x.log"
    path.write_bytes(text)

    tail = asyncio.run(InstanceLog(path).tail(count))

    assert tail == b"".join(text.splitlines(keepends=True)[-count:])


def test_all_lines_and_no_file(folder: Path) -> None:
    path = folder / "y.log"

    assert asyncio.run(InstanceLog(path).tail(None)) == b""
    path.write_bytes(b"a\nb")
    assert asyncio.run(InstanceLog(path).tail(None)) == b"a\nb"


def test_a_line_of_text_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=False, level="info")

    logger("requests").info("request_served", path="/v1/a\n12:00:00 error forged")

    assert capsys.readouterr().err.count("\n") == 1
