"""An engine is warmed up before it serves: on real engines, by what they count and log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.completions import PROMPT, ask
from support.engines import Engine
from support.fake_engine import create_fake, until_told
from support.faults import ENDLESS_OPTIONS
from support.served import BASE, Served, data_folder, serve
from support.waits import until

WARM = {"prompt": "seven eight nine", "max_tokens": 2}
SETTINGS = "instances: {context_min_tokens: 32}\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("shared"), SETTINGS)) as server:
        yield server


@pytest.fixture
def server(shared: Served) -> Iterator[Served]:
    """Without an instance."""
    yield shared
    shared.clear()


def made(server: Served, model: Path, **more: Any) -> None:
    options = {"model": str(model), "ctx_size": 512}
    answer = server.request("POST", f"{BASE}/one?start=false", {"backend_options": options, **more})
    assert answer.status_code == 201, answer.text


def events(server: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.request("GET", f"{BASE}/one/events").json()
    return found


def post(server: Served, what: str) -> None:
    answer = server.request("POST", f"{BASE}/one/{what}?wait=true")
    assert answer.status_code == 200, answer.text


@pytest.mark.both_engines
def test_it_is_computed_before_the_first_request_and_is_nobodys_request(
    server: Served, tiny_model: Path
) -> None:
    made(server, tiny_model, warm_up={"body": {**WARM, "stream": True}})
    _, tokens, _ = ask(server)

    names = [row["event"] for row in events(server)]
    assert names.index("WarmedUp") < names.index("BecameReady")
    [warmed] = [row["details"] for row in events(server) if row["event"] == "WarmedUp"]
    assert warmed["prompt_tokens"] > 0 and warmed["tokens"] == 2 and warmed["seconds"] > 0
    text = server.request("GET", "/metrics").text
    computed = warmed["prompt_tokens"] + tokens

    def count(name: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    assert count("llamactl_prompt_tokens_total{") == tokens
    assert computed - 2 <= count("llamactl_engine_prompt_tokens_total{") <= computed


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("body", "status"),
    [({"messages": "hello"}, (400, 500)), ({"prompt": PROMPT * 99}, (400,))],
    ids=["wrong", "too long"],
)
def test_a_wrong_one_is_said_and_the_start_is_fine(
    server: Served, tiny_model: Path, body: dict[str, Any], status: tuple[int, ...]
) -> None:
    made(server, tiny_model, warm_up={"body": body})
    ask(server)

    [failed] = [row for row in events(server) if row["event"] == "WarmUpFailed"]
    assert failed["details"]["status"] in status and failed["cause"]


@pytest.mark.both_engines
def test_a_restored_context_is_used_after_a_warm_up(server: Served, tiny_model: Path) -> None:
    """Whichever slot it computed in; and what it wrote itself is not restored."""
    made(server, tiny_model, warm_up={"body": {"prompt": "x " + PROMPT, "max_tokens": 1}})
    text, tokens, _ = ask(server)
    for _ in range(2):
        post(server, "stop")
        post(server, "start")
        assert ask(server) == (text, tokens, tokens - 1)
    until("its proof", lambda: "ContextUsed" in [row["event"] for row in events(server)])
    post(server, "restart")
    post(server, "restart")  # unused: what was kept before stays

    assert ask(server) == (text, tokens, tokens - 1)


@pytest.mark.both_engines
def test_a_stop_ends_a_long_one_at_once(tmp_path: Path, tiny_model: Path) -> None:
    """Which lasts longer than anybody waits; the engine drops what nobody waits for."""
    settings = "instances: {warm_up_timeout: 9999, stop_timeout: 9999}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        stop_while_it_warms_up(server, tiny_model)

        assert "BecameReady" not in [row["event"] for row in events(server)]


def stop_while_it_warms_up(server: Served, tiny_model: Path) -> None:
    endless = {"prompt": "one", "max_tokens": 10**6, "ignore_eos": True}
    made(server, tiny_model, warm_up={"body": endless})
    options = {"model": str(tiny_model), "ctx_size": 0, **ENDLESS_OPTIONS}
    server.request("PUT", f"{BASE}/one", {"backend_options": options})
    server.request("POST", f"{BASE}/one/start?wait=false")
    until("work on its prompt", lambda: "processing task" in log(server))
    post(server, "stop")


def log(server: Served) -> str:
    return server.request("GET", f"{BASE}/one/logs").text


def test_one_that_hangs_is_given_up_and_one_that_kills_its_engine_is_said(
    tmp_path: Path,
) -> None:
    settings = "instances: {warm_up_timeout: 0.3, default_auto_restart: false}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        script = {"prompt": "x", "script": [["until", "ever"]]}
        create_fake(server, tmp_path, "one", start=False, warm_up={"body": script})
        post(server, "start")
        assert "WarmUpFailed" in [row["event"] for row in events(server)]
        post(server, "stop")
        change = {"warm_up": {"body": {"prompt": "x", "script": [["die"]]}}}
        assert server.request("PUT", f"{BASE}/one", change).status_code == 200
        assert server.request("POST", f"{BASE}/one/start?wait=true").status_code >= 400
        causes = [row["cause"] for row in events(server) if row["event"] == "WarmUpFailed"]
        assert "warm_up_timeout" in causes[0] and "did not answer" in causes[1]


def test_a_stop_does_not_wait_for_an_engine_that_answers_nothing(
    server: Served, tmp_path: Path
) -> None:
    script = {"prompt": "x", "script": [["until", "ever"]]}
    create_fake(server, tmp_path, "one", start=False, warm_up={"body": script})
    server.request("POST", f"{BASE}/one/start?wait=false")
    until("a process", lambda: server.instance("one"), lambda row: row["pid"])
    until_told(server.instance("one"), "here")
    post(server, "stop")

    assert "BecameReady" not in [row["event"] for row in events(server)]
