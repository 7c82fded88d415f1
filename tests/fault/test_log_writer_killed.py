"""The process that writes an engine's log is killed: no engine and no line is lost."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

from support.fake_engine import CHUNKED, create_fake, play
from support.log_writers import kill, pair, until_none
from support.served import Served, data_folder, is_alive, serve

BASE = "/api/v1/instances"
LINES = 20_000  # 4 MB, more than a pipe holds
SETTINGS = "instances: {logging: {log_rotation_max_size: 1, log_rotation_max_files: 100}}"


def say(made: dict[str, Any], lines: int) -> None:
    """Have the engine itself write so many; returns when it has."""
    connection = http.client.HTTPConnection("127.0.0.1", int(made["port"]), timeout=60)
    script = play("one", ["send", CHUNKED], ["log", lines], ["send", "0\r\n\r\n"])
    connection.request("POST", "/v1/chat/completions", json.dumps(script))
    assert connection.getresponse().read() == b""
    connection.close()


def numbers(server: Served, count: int) -> list[int]:
    """Of its lines, as soon as the log has so many."""
    found: list[int] = []
    with (
        server.client() as client,
        client.stream("GET", f"{BASE}/one/logs?follow=true") as following,
    ):
        for line in following.iter_lines():
            if match := re.fullmatch(r"line (\d+) \.{184}", line):
                found.append(int(match[1]))
            if len(found) == count:
                return found
    raise AssertionError(f"the log ends with {len(found)} of {count} lines")


def test_a_log_goes_on_when_its_writers_are_killed(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        for count in (1, 2, 3):
            first, other = pair(data)
            kill(first)  # nobody is left who would replace the other
            say(made, LINES)
            kill(other)
            say(made, LINES)
            lines = list(range(LINES)) * 2 * count
            assert numbers(server, len(lines)) == lines
        assert server.until("one", "ready")["pid"] == made["pid"]


def test_a_log_goes_on_when_llamactl_and_its_writer_are_killed(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        server.kill()
    kill(pair(data)[1])
    say(made, LINES)
    with serve(data) as server:
        assert numbers(server, LINES) == list(range(LINES))
        assert server.until("one", "ready")["pid"] == made["pid"]


def test_an_engine_waits_for_the_next_llamactl_where_nobody_is_left_to_write_its_log(
    tmp_path: Path,
) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        server.kill()
    kill(*pair(data))
    say(made, 1000)  # the pipe holds that much
    assert is_alive(made["pid"])
    with serve(data) as server:
        assert numbers(server, 1000) == list(range(1000))
        say(made, LINES)
        assert numbers(server, 1000 + LINES) == [*range(1000), *range(LINES)]
        assert len(pair(data)) == 2


def test_the_last_words_of_an_engine_are_told_at_once(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        create_fake(server, tmp_path, "one", auto_restart=False)
        server.request("POST", "/v1/chat/completions", play("one", ["log", LINES], ["exit", 1]))
        row = server.until("one", "failed")

        assert row["failure"]["log_tail"][-1].startswith(f"line {LINES - 1:09d}")
        log = server.request("GET", f"{BASE}/one/logs?lines=1").text
        assert log.startswith(f"line {LINES - 1:09d}")


def test_nobody_writes_a_log_when_its_engine_is_gone(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        create_fake(server, tmp_path, "one")
        writers = pair(data)
        assert len(writers) == 2
        assert not set(writers) & set(server.children())
        server.request("POST", f"{BASE}/one/stop?wait=true")
        until_none(data)
        server.request("DELETE", f"{BASE}/one")
        assert [path.name for path in (data / "logs").rglob("*")] == [".pipes"]
