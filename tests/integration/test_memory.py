"""What instances take of the memory: estimated, measured, learnt, and kept to a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from server import model_path

from support.engines import Engine
from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, serve

pytestmark = pytest.mark.both_engines

BASE = "/api/v1/instances"
MIB = 1 << 20
SHAPES = {
    "deep": Shape(layers=40, embedding=256, heads=8, kv_heads=8, forward=512),
    "grouped": Shape(layers=8, embedding=512, heads=16, kv_heads=2, forward=1408),
    "vocabulary": Shape(embedding=256, forward=512, vocabulary=100_000),
    "long": Shape(layers=8, embedding=512, heads=8, kv_heads=8, forward=512, context=65536),
}
# as large as the real model, with more of a cache and smaller buffers
UNQUANTIZED = Shape(
    layers=17, embedding=576, heads=9, kv_heads=9, forward=32, context=65536, vocabulary=1000
)


def total(memory: dict[str, Any]) -> int:
    return int(memory["ram"]) + int(memory["shared"])


def estimated_and_measured(server: Served, name: str, body: dict[str, Any]) -> tuple[int, int]:
    """Before the first start, and after a prompt that fills a batch."""
    body = {"threads": 1, **body}  # which takes no memory; two would wait for each other's core
    answer = server.request("POST", f"{BASE}/{name}?start=false", body)
    assert answer.status_code == 201, answer.text
    before = total(answer.json()["memory"])
    prompt = [5 + n % 200 for n in range(600)]
    asked = {"model": name, "prompt": prompt, "max_tokens": 2}
    answer = server.request("POST", "/v1/completions", asked)
    assert answer.status_code == 200, answer.text
    measured = server.request("POST", f"{BASE}/{name}/stop?wait=true").json()["memory"]
    return before, total(measured)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Any:
    with serve(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def model(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of 92 MiB: a real one where the engine can compute it."""
    if engine.quantized:
        return str(model_path())
    path = tmp_path_factory.mktemp("model") / "unquantized.gguf"
    write_tiny_gguf(path, UNQUANTIZED)
    return str(path)


@pytest.mark.parametrize("context", [1024, 16384])
@pytest.mark.parametrize("cache", ["f16", "other"])
def test_the_estimate_for_a_real_model(
    server: Served, engine: Engine, model: str, context: int, cache: str
) -> None:
    if cache == "other":
        cache = "q8_0" if engine.quantized else "f32"
    body = {
        "model": model, "ctx_size": context,
        "cache_type_k": cache, "cache_type_v": cache,
    }  # fmt: skip
    estimate, measured = estimated_and_measured(server, f"real-{context}-{cache}", body)

    assert abs(estimate / measured - 1) < 0.2, (estimate >> 20, measured >> 20)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_estimate_for_other_shapes(server: Served, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.gguf"
    write_tiny_gguf(path, SHAPES[kind])
    body = {"model": str(path), "ctx_size": 32768 if kind == "long" else 2048}
    estimate, measured = estimated_and_measured(server, kind, body)

    assert abs(estimate / measured - 1) < 0.2, (estimate >> 20, measured >> 20)


def test_what_was_measured_is_expected_of_the_next_of_its_kind(tmp_path: Path, model: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    body = {"model": model, "ctx_size": 2048}
    with serve(data) as server:
        _, first = estimated_and_measured(server, "first", body)
    with serve(data) as server:  # it is kept
        second, measured = estimated_and_measured(server, "second", {**body, "temp": 0.5})

        other = server.request("POST", f"{BASE}/other?start=false", {**body, "ctx_size": 8192})
        assert second == first
        assert abs(second / measured - 1) < 0.05
        assert total(other.json()["memory"]) > first + 100 * MIB


def test_a_budget_makes_room_and_says_why(tmp_path: Path, model: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    budget = {"LLAMACTL_MEMORY_BUDGET": str(380 * MIB)}
    with serve(data, budget) as server:
        for name, context in (("one", 4096), ("two", 4097), ("huge", 65536)):
            body = {"model": model, "ctx_size": context, "threads": 1}
            server.request("POST", f"{BASE}/{name}?start=false", body)
        ask = {"prompt": "a", "max_tokens": 1}
        assert server.request("POST", "/v1/completions", {**ask, "model": "one"}).status_code == 200

        by_hand = server.request("POST", f"{BASE}/two/start")
        plan = server.request("POST", f"{BASE}/two/plan").json()
        on_demand = server.request("POST", "/v1/completions", {**ask, "model": "two"})
        never = server.request("POST", "/v1/completions", {**ask, "model": "huge"})

        assert by_hand.status_code == 409 and "RAM: " in by_hand.json()["error"]
        assert by_hand.json()["code"] == never.json()["code"] == "insufficient_memory"
        assert plan["action"] in ("evict", "wait")
        assert on_demand.status_code == 200
        assert server.request("GET", f"{BASE}/one").json()["status"] == "stopped"
        assert never.status_code == 409 and "of 380 MiB in use" in never.json()["error"]


def test_two_instances_of_one_model_share_its_weights(
    tmp_path: Path, engine: Engine, model: str
) -> None:
    """Weights are 92 MiB; what each adds to them is 60 to 100."""
    data = tmp_path / "data"
    data.mkdir()
    context = 512 if engine.quantized else 1024
    with serve(data, {"LLAMACTL_MEMORY_BUDGET": str(320 * MIB)}) as server:
        for name in ("one", "two"):
            body = {"model": model, "ctx_size": context, "alias": name, "threads": 1}
            answer = server.request("POST", f"{BASE}/{name}", body)
            assert answer.status_code == 201, answer.text
