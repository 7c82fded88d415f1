"""Real engines that are no llama.cpp, each in an environment of its own below `.venv`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from support.containers import IMAGE, ContainerEngine

_ENVIRONMENTS = Path(__file__).parents[2] / ".venv"


@dataclass(frozen=True)
class Case:
    """An engine that serves a small model, as an instance of it is defined."""

    name: str
    options: Mapping[str, Any]  # of the engine
    backend: str = ""  # "": the default one
    settings: Mapping[str, str] = field(default_factory=dict)  # variables for the server
    change: Mapping[str, Any] = field(default_factory=dict)  # of its options
    more: Mapping[str, Any] = field(default_factory=dict)  # of the definition
    ask: Mapping[str, Any] = field(default_factory=dict)  # for members of a request
    short: int = 200  # tokens: a stream that others can end during
    endless: int = 20_000  # tokens: a stream that nobody waits for

    def definition(self, options: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {"backend_options": dict(options), **self.more}
        return {**given, "backend_type": self.backend} if self.backend else given


def environment_of(engine: str, program: str) -> Path:
    """The program of an engine. Skips the test where it is not installed; in CI, fails it."""
    found = _ENVIRONMENTS / engine / "bin" / program
    if not found.exists():
        why = f"{program} is not installed; `make .venv/{engine}.stamp` installs it"
        if os.environ.get("LLAMACTL_CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


def mlx(model: Path, change: Sequence[tuple[str, Any]] = (("max_tokens", 100),)) -> Case:
    return Case(
        "mlx",
        {"model": str(model)},
        "mlx_lm",
        {"LLAMACTL_MLX_COMMAND": str(environment_of("mlx", "mlx_lm.server"))},
        dict(change),
        endless=5_000,
    )


VLLM_ENVIRONMENT = {  # its cache in GiB: it would take most of the memory
    "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip


def vllm(model: Path) -> Case:
    """Without a GPU; `model` with a context of 32,768 tokens."""
    variables = ",".join(f"{name}={value}" for name, value in VLLM_ENVIRONMENT.items())
    return Case(
        "vllm",
        {"model": str(model), "dtype": "float32", "max_num_seqs": 4, "enforce_eager": True},
        "vllm",
        {
            "LLAMACTL_VLLM_COMMAND": str(environment_of("vllm", "vllm")),
            "LLAMACTL_VLLM_ENV": variables,
        },
        {"max_num_seqs": 5},
        ask={"ignore_eos": True},
        short=400,
    )


def transformers(model: Path) -> Case:
    """On a CPU, with the packages of vLLM's environment."""
    return Case(
        "transformers",
        {"model": str(model), "device": "cpu"},
        "transformers",
        {"LLAMACTL_TRANSFORMERS_COMMAND": str(environment_of("vllm", "transformers"))},
        {"default_seed": 3},
        short=100,
        endless=1_500,
    )


def llama_cpp(model: Path) -> Case:
    """Whichever the tests' servers use."""
    return Case(
        "llama.cpp",
        {"model": str(model), "ctx_size": 32_768, "parallel": 4, "threads": 1},
        change={"temp": 0.5},
        ask={"ignore_eos": True},
        short=2_000,
        endless=8_000,
    )


def command(model: Path, python: str) -> Case:
    """Any command: an engine of which llamactl knows only what its definition says."""
    arguments = ["-m", "llamactl.engine", "-m", "${MODEL}", "--port", "${PORT}", "-c", "32768",
                 "-np", "4", "-t", "1"]  # fmt: skip
    return Case(
        "command",
        {
            "command": python, "args": arguments, "model": str(model),
            "api_key_env": "LLAMA_API_KEY", "probe_path": "/v1/completions",
        },
        "command",
        change={"args": [*arguments, "--temp", "0.5"]},
        ask={"ignore_eos": True},
        short=2_000,
        endless=8_000,
    )  # fmt: skip


def in_container(model: Path, engine: ContainerEngine) -> Case:
    """llama.cpp's llama-server, by Docker or Podman."""
    return replace(
        llama_cpp(model), name=engine.name, settings=engine.environment,
        more={"container": {"engine": engine.name, "image": IMAGE}},
    )  # fmt: skip
