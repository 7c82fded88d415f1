"""MLX stays when it can't serve: its model can't be loaded, its port is taken, its thread dies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support import real_engines
from support.life import left_of
from support.served import BASE, Served, data_folder, serve
from support.tiny_hf import make_tiny_hf
from support.waits import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("mlx")
    case = real_engines.mlx(folder)
    # what is not noticed at once waits for this, longer than a test may take
    with serve(data_folder(folder, "instances: {start_timeout: 3600}"), case.settings) as served:
        yield served
    until("nothing that is left", lambda: left_of(served.data_dir), lambda left: left == [])


def create(server: Served, name: str, **options: object) -> Any:
    body = {"backend_type": "mlx_lm", "backend_options": options}
    answer = server.request("POST", f"{BASE}/{name}", body)
    assert answer.status_code in (201, 500), answer.text
    return answer.json()


def cut(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def of_another_type(model: Path) -> None:
    config = model / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"wonder"'))


def remove(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).unlink()


def drop(model: Path) -> None:
    model.rename(model.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("damage", "failure", "said"),
    [
        (drop, "model_missing", "the folder in `model` does not exist"),
        (cut, "model_invalid", "damaged or incomplete"),
        (remove("config.json"), "model_invalid", "not a complete model"),
        (remove("model.safetensors"), "model_invalid", "not a complete model"),
        (of_another_type, "model_invalid", "does not know the model's architecture"),
    ],
    ids=["no folder", "cut weights", "no config", "no weights", "another type"],
)
def test_a_model_that_can_not_be_loaded_is_said_at_once(
    server: Served, tmp_path: Path, damage: Callable[[Path], None], failure: str, said: str
) -> None:
    model = make_tiny_hf(tmp_path / "model")
    damage(model)
    refused = create(server, f"broken-{tmp_path.name[-12:].strip('-_.')}", model=str(model))

    assert refused["code"] == "start_failed", refused
    assert refused["details"]["class"] == failure
    assert said in refused["error"]
    assert "generation thread died: " in refused["details"]["error_line"]


def test_a_draft_model_that_is_not_there_is_named(server: Served, tmp_path: Path) -> None:
    model = make_tiny_hf(tmp_path / "model")
    refused = create(server, "draft", model=str(model), draft_model=str(tmp_path / "none"))

    assert "the folder in `draft_model` does not exist" in refused["error"]


def test_a_port_that_another_program_takes_meanwhile_is_left_to_it(
    server: Served, tmp_path: Path
) -> None:
    model = make_tiny_hf(tmp_path / "model")
    create(server, "moves", model=str(model))
    first = server.until("moves", "ready")
    server.request("POST", f"{BASE}/moves/stop")
    server.until("moves", "stopped")
    with closing(socket.create_server(("127.0.0.1", first["port"]))):
        server.request("POST", f"{BASE}/moves/start")
        second = server.until("moves", "ready")

    assert second["port"] != first["port"]


def test_a_fixed_port_that_is_taken_ends_the_start_at_once(server: Served, tmp_path: Path) -> None:
    model = make_tiny_hf(tmp_path / "model")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused = create(server, "fixed", model=str(model), port=port)

        # it is tried once more, on another port
        assert refused.get("port", port) != port or refused["details"]["class"] == "port_taken"


def test_no_request_makes_it_load_another_model(server: Served, tmp_path: Path) -> None:
    create(server, "safe", model=str(make_tiny_hf(tmp_path / "model")))
    body = {"model": "safe", "prompt": "a", "max_tokens": 1, "draft_model": "/etc",
            "adapters": "/etc"}  # fmt: skip
    answer = server.request("POST", "/v1/completions", body)

    assert (answer.status_code, answer.json()["model"]) == (200, "safe")
    assert "/etc" not in server.request("GET", f"{BASE}/safe/logs").text
