"""llamactl or the engine is killed while a context is saved or restored, or its folder is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.faults import BASE
from support.served import Served, data_folder, serve
from support.waits import let_pass

PROMPT = "one two three four " * 12
SETTINGS = "instances: {context_min_tokens: 32, default_restart_delay: 0.05}\n"


def made(server: Served, model: Path) -> None:
    body = {"backend_options": {"model": str(model), "ctx_size": 512}}
    assert server.request("POST", f"{BASE}/one", body).status_code == 201


def ask(server: Served) -> str:
    body = {"model": "one", "prompt": PROMPT, "max_tokens": 4, "temperature": 0, "seed": 1}
    answer = server.request("POST", "/v1/completions", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


def orphans(server: Served) -> list[str]:
    """Files that nobody owns."""
    found = {path.name for path in (server.data_dir / "contexts").rglob("slot-*")}
    pairs = {f"{Path(name).stem}.{kind}" for name in found for kind in ("bin", "json")}
    return sorted(found - pairs) + sorted(pairs - found)


def meanwhile(server: Served, what: str) -> threading.Thread:
    def ask_for_it() -> None:
        with suppress(httpx.HTTPError):
            server.request("POST", f"{BASE}/one/{what}?wait=true")

    thread = threading.Thread(target=ask_for_it)
    thread.start()
    return thread


@pytest.mark.parametrize("victim", ["llamactl", "engine"])
def test_no_start_fails_and_no_wrong_context_is_used(
    tmp_path: Path, tiny_model: Path, victim: str, scale: int
) -> None:
    data, chance = data_folder(tmp_path, SETTINGS), random.Random(7)
    with serve(data) as server:
        made(server, tiny_model)
        text = ask(server)
    for _ in range(6 * scale):
        with serve(data) as server:
            assert ask(server) == text
            pid = server.request("GET", f"{BASE}/one").json()["pid"]
            thread = meanwhile(server, chance.choice(["stop", "restart"]))
            let_pass(chance.random() * 0.06)
            if victim == "engine":
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                thread.join()
                assert ask(server) == text
            else:
                server.kill()
                thread.join()
    with serve(data) as server:
        assert ask(server) == text
        server.request("POST", f"{BASE}/one/restart?wait=true")
        assert ask(server) == text
        assert orphans(server) == []


@pytest.mark.parametrize("harm", ["all", "one"])
def test_a_folder_that_can_not_be_used_keeps_nothing_from_starting_or_stopping(
    tmp_path: Path, tiny_model: Path, harm: str
) -> None:
    data = data_folder(tmp_path, SETTINGS)
    if harm == "all":
        (data / "contexts").write_text("x")
    with serve(data) as server:
        made(server, tiny_model)
        text = ask(server)
        if harm == "one":
            [folder] = (data / "contexts").glob("*/")
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder.write_text("x")
        for _ in range(2):
            row: Any = server.request("POST", f"{BASE}/one/restart?wait=true").json()
            assert row["status"] == "running", row
            assert ask(server) == text
