"""What `serve` says when it serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

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
