"""LiteLLM's proxy before the same engines, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from benchmarks.ports import free_port
from benchmarks.proxy.peer import Peer

PROGRAM = Path(".venv/litellm/bin/litellm")  # `make .venv/litellm.stamp`
KEY = "sk-bench"


class LiteLLM(Peer):
    """Knows one key, and counts nothing in a database."""

    def __init__(self, engines: dict[str, int], folder: Path) -> None:
        """`engines`: ports, by the model to ask for."""
        port = free_port()
        config = folder / "litellm.yaml"
        config.write_text(yaml.safe_dump({
            "model_list": [{
                "model_name": name,
                "litellm_params": {
                    "model": f"openai/{name}", "api_key": "none",
                    "api_base": f"http://127.0.0.1:{upstream}/v1",
                },
            } for name, upstream in engines.items()],
            "general_settings": {"master_key": KEY},
        }))  # fmt: skip
        # it fetches prices otherwise
        env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        command = [str(PROGRAM.absolute()), "--config", str(config), "--port", str(port),
                   "--host", "127.0.0.1", "--num_workers", "1"]  # fmt: skip
        with (folder / "litellm.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
        super().__init__(process, port)
