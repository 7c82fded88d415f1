"""An engine that is built on this machine serves instead of the built-in one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.installed import PYTHON
from support.served import BASE, serve
from support.source_tree import write_source_tree


def llamactl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [PYTHON, "-m", "llamactl", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_a_built_engine_serves_from_the_next_start(tmp_path: Path, tiny_model: Path) -> None:
    source, data = write_source_tree(tmp_path / "source"), tmp_path / "data"
    data.mkdir()
    with serve(data) as server:
        body = {"model": str(tiny_model), "ctx_size": 256}
        before = server.request("POST", f"{BASE}/one?wait=true", body).json()

        built = llamactl("engine", "build", "--source", source, "--data-dir", data)

        assert built.returncode == 0, built.stderr
        program = data / "engines/llama-cpp/llama-server"
        assert built.stdout.splitlines()[-1] == (
            f"built {program}; it serves from the next start of an instance"
        )
        assert server.instance("one")["pid"] == before["pid"]  # and goes on
        system = server.request("GET", "/api/v1/system").json()
        assert system["engine"] == f"{program} (built on this machine from {source})"

        server.request("POST", f"{BASE}/one/restart?wait=true")
        command = server.instance("one")["command"]
        asked = {"model": "one", "prompt": "a", "max_tokens": 1}
        answer = server.request("POST", "/v1/completions", asked)

        assert command[0] == str(program)
        assert answer.status_code == 200, answer.text
        assert (program.parent / "LICENSE").read_text() == "of the source code"

    checked = llamactl("doctor", "--data-dir", data, "--json")
    (engine,) = [row for row in json.loads(checked.stdout) if row["about"] == "engine"]
    assert (engine["level"], engine["said"]) == ("ok", system["engine"])
    assert engine["advice"] == ""
