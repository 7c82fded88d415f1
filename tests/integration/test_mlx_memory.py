"""How much memory MLX takes: estimated from the files, then learnt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import real_engines
from support.served import BASE, Served, data_folder, serve
from support.tiny_hf import make_tiny_hf

CLOSE = 0.25  # of what was measured
LEARNT = 0.05


def ask(server: Served, _: int) -> int:
    body = {"model": "one", "prompt": "hello", "max_tokens": 50}
    return server.request("POST", "/v1/completions", body).status_code


def test_an_estimate_is_near_and_the_next_one_nearer(tmp_path: Path) -> None:
    model = make_tiny_hf(tmp_path / "model", hidden=256, layers=4)
    case = real_engines.mlx(model)
    settings = "instances: {health_interval: 0.1}"
    with serve(data_folder(tmp_path, settings), case.settings) as server:
        body = case.definition(case.options)
        made = server.request("POST", f"{BASE}/one?start=false", body).json()
        with ThreadPoolExecutor(4) as pool:
            answers = [*pool.map(lambda n: ask(server, n), range(4))]
        estimate = made["memory"]["ram"]
        row = server.until_row("one", "what it takes", lambda row: row["memory"]["ram"] != estimate)
        pss = sum(
            int(line.split()[1]) << 10
            for line in Path(f"/proc/{row['pid']}/smaps").read_text().splitlines()
            if line.startswith("Pss:")
        )
        learnt = server.until_row(
            "one", "the memory of its process",
            lambda row: abs(row["memory"]["ram"] - pss) < LEARNT * pss,
        )  # fmt: skip

    assert answers == [200] * 4
    assert abs(estimate - pss) < CLOSE * pss, (estimate, pss)
    assert learnt["memory"]["ram"] > 0
