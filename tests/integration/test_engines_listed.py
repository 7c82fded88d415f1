"""`llamactl engine ls`, on the engines of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support import real_engines
from support.installed import PYTHON
from support.served import Served, data_folder, serve


def ask(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LLAMACTL_URL": server.url,
        "LLAMACTL_API_KEY": server.key,
        "COLUMNS": "200",
    }
    return subprocess.run(
        [PYTHON, "-m", "llamactl", "engine", *words],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip


def test_what_is_installed_has_its_version_and_what_is_not_says_how(tmp_path: Path) -> None:
    case = real_engines.mlx(tmp_path)
    with serve(data_folder(tmp_path, ""), case.settings) as server:
        rows = {row["name"]: row for row in server.request("GET", "/api/v1/backends").json()}
        said = ask(server, "ls")

    assert rows["mlx"]["version"].startswith("0.32.")
    assert rows["mlx"]["program"].endswith("bin/mlx_lm.server")
    assert "built-in llama.cpp" in rows["llama-cpp"]["program"]
    assert rows["llama-cpp"]["devices"] == []
    assert "command" not in rows  # each of its instances names its own
    assert "not installed" not in rows["llama-cpp"]["gpu"]
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["ENGINE", "VERSION", "PROGRAM", "GPU"]
    assert any(line.startswith("MLX") and "0.32." in line for line in lines)
