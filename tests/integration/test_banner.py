"""What `serve` says when it serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from llamactl.backends import DEFAULT
from llamactl.config import Settings
from llamactl.node import EngineBuilds, find_engine
from support.served import data_folder, serve


@pytest.mark.parametrize(
    ("host", "hosts"),
    [("127.0.0.1", ["127.0.0.1", "localhost"]), ("127.0.0.2", ["127.0.0.2"]),
     ("::1", [r"[::1]", "localhost"])],
)  # fmt: skip
def test_the_banner_names_all_addresses_and_they_work(
    tmp_path: Path, host: str, hosts: list[str]
) -> None:
    data = data_folder(tmp_path, f"server: {{host: '{host}', allowed_hosts: [box.lan]}}")
    with serve(data) as server:
        assert server.process.stdout is not None
        urls = [server.url]
        while "also at" in (line := server.process.stdout.readline()):
            urls.append(line.split()[-1])

        assert [re.sub(r"^http://|:\d+$", "", url) for url in urls] == [*hosts, "box.lan"]
        said = json.loads((data / "server.json").read_text())
        assert said["url"] == urls[0]
        for url in urls:
            name = url.removeprefix("http://")
            health = httpx.get(f"{server.url}/health", headers={"host": name})
            assert health.status_code == 200, url


def test_the_banner_says_which_engine_serves_and_what_a_better_one_would_gain(
    tmp_path: Path,
) -> None:
    data = data_folder(tmp_path, "")
    kind = DEFAULT.kind
    engine = find_engine(kind, Settings().backends.engine(kind), EngineBuilds(data))
    with serve(data) as server:
        assert server.process.stdout is not None
        while not (line := server.process.stdout.readline()).startswith("  engine"):
            assert line

    assert line.split(maxsplit=1)[1].strip() == "; ".join(
        filter(None, (engine.label, engine.advice))
    )
