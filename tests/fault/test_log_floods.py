"""An engine logs 50 MB a second, or as fast as it can: nothing is lost, no disk is filled."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from support.fake_engine import CHUNKED, create_fake, play
from support.served import data_folder, serve

SETTINGS = """
instances:
  logging: {log_rotation_max_size: 4, log_rotation_max_files: %d, log_rotation_compress: %s}
"""
LINE, MB = 200, 1 << 20
LATE = 32 * MB  # what is written until llamactl looks, on a busy machine


def disk_use(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def flood(
    tmp_path: Path, files: int, step: Sequence[object], *, compress: str
) -> tuple[str, str, int]:
    """What is kept, its last line, and the most that the disk held."""
    data = data_folder(tmp_path, SETTINGS % (files, compress))
    with serve(data) as server:
        create_fake(server, tmp_path, "loud")
        script = play("loud", ["send", CHUNKED], step, ["send", "0\r\n\r\n"])
        most, over = 0, threading.Event()

        def ask() -> None:
            try:
                answer = server.request("POST", "/v1/chat/completions", script)
                assert answer.status_code == 200
            finally:
                over.set()

        asker = threading.Thread(target=ask)
        asker.start()
        while not over.is_set():
            most = max(most, disk_use(data / "logs"))
        asker.join()
        text = server.request("GET", "/api/v1/instances/loud/logs").text
        last = server.request("GET", "/api/v1/instances/loud/logs?lines=1").text
    return text, last, most


def numbers_of(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"^line (\d+) \.{184}$", text, re.MULTILINE)]


def test_every_line_is_found_once(tmp_path: Path, scale: int) -> None:
    lines = 600_000 * scale  # 120 MB
    text, last, _ = flood(tmp_path, 1000, ["log", lines], compress="false")

    numbers = numbers_of(text)
    assert last.startswith(f"line {lines - 1:09d}")
    assert Counter(numbers).most_common(1)[0][1] == 1
    assert numbers == list(range(lines))
    assert list((tmp_path / "data/logs").glob("*-*"))


def test_the_disk_is_not_filled(tmp_path: Path, scale: int) -> None:
    lines = 600_000 * scale
    text, last, most = flood(tmp_path, 2, ["log", lines], compress="true")

    numbers = numbers_of(text)
    assert last.startswith(f"line {lines - 1:09d}")
    assert most < 4 * 4 * MB + LATE
    assert numbers == list(range(numbers[0], lines)), "a gap, a double or half a line"
    assert len(numbers) < lines


def test_the_disk_is_not_filled_by_an_engine_that_writes_as_fast_as_it_can(
    tmp_path: Path, scale: int
) -> None:
    """Compressing is slower by far, and must not be what the disk waits for."""
    blocks = 1500 * scale
    text, _, most = flood(tmp_path, 1, ["pour", blocks], compress="true")

    assert most < 2 * 4 * MB + 256 * MB
    kept = [int(n) for n in re.findall(r"^block (\d+) ", text, re.MULTILINE)]
    assert kept == list(range(kept[0], blocks)), "a gap, a double or half a line"
    assert len(text) < 2 * 4 * MB + 1
