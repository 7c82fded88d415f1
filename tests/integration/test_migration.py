"""Taking over from the Go llamactl and from llama-swap: each key is accounted for."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from llamactl.core.errors import LlamactlError
from llamactl.migration import Migrated, from_go_llamactl, from_llama_swap
from support.installed import PYTHON
from support.served import Served, data_folder, serve

# Each key that llama-swap's config.example.yaml has, with other values.
SWAP = """
healthCheckTimeout: 400
logLevel: warn
logTimeFormat: rfc3339
logToStdout: both
metricsMaxInMemory: 10
captureBuffer: 5
startPort: 20000
sendLoadingState: true
includeAliasesInList: true
globalTTL: 600
macros:
  server: >
    /opt/llama/llama-server --port ${PORT}
  ctx: 2048
  both: "--ctx-size ${ctx}"
  folder: "${env.MODELS}/gguf"
apiKeys: [one, "${env.KEY}"]
models:
  "big/model:q4":
    macros: {ctx: 9999, temp: 0.5}
    cmd: |
      # a comment
      ${server}
      --model ${folder}/big.gguf ${both}
      --temp ${temp} --jinja
    name: Big
    description: A big one
    env: ["CUDA_VISIBLE_DEVICES=0,1"]
    proxy: http://127.0.0.1:9000
    checkEndpoint: /ok
    ttl: 120
    useModelName: upstream/name
    filters:
      stripParams: "top_p, top_k, model"
      setParams: {temperature: 0.1, nested: {a: [1]}}
      setParamsByID:
        "${MODEL_ID}": {seed: 1}
        "${MODEL_ID}:high": {seed: 2}
    aliases:
      - {id: gpt-4o, name: x, unlisted: false}
      - plain
    metadata: {port: "${PORT}", list: [1]}
    concurrencyLimit: 3
    sendLoadingState: false
    timeouts: {connect: 1, keepalive: 2, responseHeader: 3, tlsHandshake: 4, idleConn: 5}
  small:
    unlisted: true
    cmd: llama-server --port ${PORT} -m small.gguf -ngl 0
  boxed:
    proxy: "http://127.0.0.1:${PORT}"
    cmd: |
      docker run --name ${MODEL_ID} --init --rm -p ${PORT}:8080 -v /mnt/m:/models
      ghcr.io/ggml-org/llama.cpp:server --model '/models/x.gguf'
    cmdStop: docker stop ${MODEL_ID}
  other: {cmd: vllm serve org/model --port 1}
  lost: {cmd: "${nowhere}"}
matrix:
  vars: {b: big}
  evict_costs: {b: 5}
  sets: {all: "b & s"}
hooks: {on_startup: {preload: [small]}}
peers:
  far: {proxy: http://10.0.0.1, models: [a], apiKey: k, timeouts: {connect: 1},
        filters: {stripParams: x, setParams: {y: 1}}}
"""
ENVIRON = {"MODELS": "/data", "KEY": "k"}


def leaves(tree: object, at: str = "") -> Iterable[str]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{at}.{key}" if at else str(key))
    else:
        yield at


def unaccounted(tree: object, found: Migrated, at: str = "") -> list[str]:
    """Keys that no row of the report is about, or about a part or the whole of."""
    rows = [row.key for row in found.rows]
    return [
        key
        for key in leaves(tree, at)
        if not any(key == r or key.startswith(f"{r}.") or r.startswith(f"{key}.") for r in rows)
    ]


def test_llama_swaps_keys_are_all_accounted_for() -> None:
    config = yaml.safe_load(SWAP)
    found = from_llama_swap(config, ENVIRON)

    assert unaccounted(config, found) == []
    big = found.instances["big-model-q4"]
    assert big["backend_options"] == {
        "model": "/data/gguf/big.gguf", "ctx_size": 9999, "temp": 0.5, "jinja": True,
    }  # fmt: skip
    assert big["aliases"] == ["big/model:q4", "gpt-4o", "plain"]
    assert (big["idle_timeout"], big["strip_params"]) == (2, ["top_p", "top_k"])
    assert big["set_params"] == {
        "model": "upstream/name", "temperature": 0.1, "nested": {"a": [1]}, "seed": 1,
    }  # fmt: skip
    assert big["environment"] == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert found.instances["small"]["backend_options"] == {"model": "small.gguf", "gpu_layers": 0}
    assert found.instances["small"]["idle_timeout"] == 10
    assert found.instances["boxed"]["backend_options"] == {"model": "/mnt/m/x.gguf"}
    assert found.instances["other"]["backend_options"] == {"model": "org/model"}
    assert set(found.instances) == {"big-model-q4", "small", "boxed", "other"}
    assert found.settings["instances"]["default_idle_timeout"] == 10
    assert found.settings["log"] == {"level": "warning"}
    assert found.instances["small"]["preload"] is True and found.start == []
    why = {row.key: row.note for row in found.rows if row.outcome == "left out"}
    assert why["models.lost.cmd"] == "the macro ${nowhere} is not defined"


def go_database(path: Path, model: Path) -> dict[str, Any]:
    """As its migrations make it; what was put in, as a tree."""
    rows: dict[str, dict[str, Any]] = {
        "one": {"backend_type": "llama_cpp", "auto_restart": True, "max_restarts": 5,
                "restart_delay": 3, "on_demand_start": True, "idle_timeout": 20,
                "environment": {"A": "1"}, "docker_enabled": True, "preset_ini": "[x]",
                "nodes": ["main"], "command_override": "",
                "backend_options": {"model": str(model), "ctx_size": 256, "host": "0.0.0.0",
                                    "port": 8001, "api_key": "k", "flash_attn": "on",
                                    "lora": ["a", "b"], "extra_args": {"foo": "bar"}}},
        "two": {"backend_type": "vllm", "backend_options": {"model": "org/x"}},
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE instances (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
            "UNIQUE, status TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT "
            "NULL, options_json TEXT NOT NULL, owner_user_id TEXT NULL)"
        )
        database.execute("CREATE TABLE api_keys (id INTEGER PRIMARY KEY, name TEXT, key_hash TEXT)")
        database.execute("INSERT INTO api_keys (name, key_hash) VALUES ('guest', 'argon2')")
        for name, options in rows.items():
            database.execute(
                "INSERT INTO instances (name, status, created_at, updated_at, options_json) "
                "VALUES (?, 'running', 1, 2, ?)",
                (name, json.dumps(options)),
            )
    extra = {"id": 1, "created_at": 1, "updated_at": 2, "status": "running"}
    return {
        "instances": {"one": rows["one"] | extra, "two": rows["two"]},
        "api_keys": {"guest": {"key_hash": "x"}},
    }


# The default configuration of the Go llamactl's documentation.
GO = """
server: {host: 0.0.0.0, port: 8080, allowed_origins: ["*"], allowed_headers: ["*"],
         enable_swagger: false}
backends:
  llama-cpp:
    command: llama-server
    args: []
    environment: {}
    docker: {enabled: false, image: "ghcr.io/ggml-org/llama.cpp:server", args: [run],
             environment: {}}
    response_headers: {}
  vllm: {command: vllm, args: [serve], environment: {}, docker: {enabled: false, image: x}}
  mlx: {command: mlx_lm.server, args: [], environment: {}, response_headers: {}}
data_dir: ~/.local/share/llamactl
instances:
  port_range: [8000, 9000]
  configs_dir: data_dir/instances
  logs_dir: data_dir/logs
  auto_create_dirs: true
  max_instances: -1
  max_running_instances: -1
  enable_lru_eviction: true
  default_auto_restart: true
  default_max_restarts: 3
  default_restart_delay: 5
  default_on_demand_start: true
  on_demand_start_timeout: 120
  timeout_check_interval: 5
database: {path: llamactl.db, max_open_connections: 25, max_idle_connections: 5,
           connection_max_lifetime: 5m}
auth: {require_inference_auth: true, inference_keys: [], require_management_auth: true,
       management_keys: [m]}
local_node: main
nodes: {main: }
"""


def test_the_go_llamactls_keys_are_all_accounted_for(tmp_path: Path, tiny_model: Path) -> None:
    tree = go_database(tmp_path / "go.db", tiny_model)
    config = yaml.safe_load(GO)
    found = from_go_llamactl(tmp_path / "go.db", config)

    assert unaccounted(tree, found) == []
    assert unaccounted(config, found, "settings") == []
    one = found.instances["one"]
    assert one["backend_options"] == {
        "model": str(tiny_model), "ctx_size": 256, "flash_attn": "on", "lora": ["a", "b"],
        "extra_args": {"foo": "bar"},
    }  # fmt: skip
    assert (one["idle_timeout"], one["environment"]) == (20, {"A": "1"})
    assert found.instances["two"] == {"backend_type": "vllm", "backend_options": {"model": "org/x"}}
    assert set(found.instances) == {"one", "two"} and found.start == ["one", "two"]
    (made,) = found.settings["auth"]["management_keys"]
    assert len(made) > 20
    replaced = next(row for row in found.rows if row.key == "settings.auth.management_keys")
    assert (replaced.outcome, "replaced" in replaced.note) == ("changed", True)
    assert "allowed_origins" not in found.settings["server"]


def test_an_import_shows_first_and_makes_when_told(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "swap.yaml").write_text(
        f"models: {{'my/model': {{cmd: 'llama-server -m {tiny_model} -c 256'}}}}"
    )
    with serve(data_folder(tmp_path, "")) as server:

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            command = [PYTHON, "-m", "llamactl", "import", "llama-swap", *words]
            where = ["--data-dir", str(server.data_dir)]
            env = {**os.environ, "HOME": str(tmp_path)}
            return subprocess.run(
                [*command, str(tmp_path / "swap.yaml"), *where],
                capture_output=True, text=True, check=False, env=env,
            )  # fmt: skip

        shown = run()
        assert shown.returncode == 0 and "my-model" in shown.stdout, shown.stderr
        assert "nothing was changed" in shown.stderr
        assert server.request("GET", "/api/v1/instances").json() == []
        made = run("--apply", "--settings-out", str(tmp_path / "ours.yaml"))
        assert made.returncode == 0 and "created 1 instance\n" in made.stdout, made.stderr
        answer = server.request(
            "POST", "/v1/completions", {"model": "my/model", "prompt": "a", "max_tokens": 1}
        )
        assert answer.status_code == 200
        assert (tmp_path / "ours.yaml").exists()


def run_import(server: Served, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "llamactl", "import", "llama-swap", str(file), *words]
    where = ["--data-dir", str(server.data_dir)]
    env = {**os.environ, "HOME": str(file.parent)}
    return subprocess.run(
        [*command, *where], capture_output=True, text=True, check=False, env=env
    )  # fmt: skip


def test_what_exists_is_shown_as_a_change_and_replaced_only_when_told(
    tmp_path: Path, tiny_model: Path
) -> None:
    swap = tmp_path / "swap.yaml"
    swap.write_text(
        f"models: {{old: {{cmd: 'llama-server -m {tiny_model} -c 256'}}, "
        f"new: {{cmd: 'llama-server -m {tiny_model} -c 512'}}}}"
    )
    with serve(data_folder(tmp_path, "")) as server:
        body = {"model": str(tiny_model), "ctx_size": 1024, "idle_timeout": 7}
        server.request("POST", "/api/v1/instances/old?start=false", body)
        before = server.instance("old")["options"]

        shown = run_import(server, swap)
        refused = run_import(server, swap, "--apply")
        kept = server.instance("old")["options"]
        names = [row["name"] for row in server.request("GET", "/api/v1/instances").json()]
        replaced = run_import(server, swap, "--apply", "--replace")

        assert "old exists and would change" in shown.stdout
        assert refused.returncode == 1 and "old: it exists and would change" in refused.stderr
        assert (kept, sorted(names)) == (before, ["new", "old"])
        assert replaced.returncode == 0 and "changed 1 instance: old" in replaced.stdout
        now = server.instance("old")["options"]
        assert (now["backend_options"]["ctx_size"], now["idle_timeout"]) == (256, 0)


def test_one_bad_name_stops_no_other(tmp_path: Path, tiny_model: Path) -> None:
    swap = tmp_path / "swap.yaml"
    swap.write_text(
        f"models: {{first: {{cmd: 'llama-server --port ${{PORT}} -m {tiny_model}'}}, "
        f"taken: {{cmd: 'llama-server -m {tiny_model}', aliases: [other-name]}}, "
        f"last: {{cmd: 'llama-server -m {tiny_model}'}}}}"
    )
    with serve(data_folder(tmp_path, "")) as server:
        other = {"model": str(tiny_model), "aliases": ["other-name"]}
        server.request("POST", "/api/v1/instances/other?start=false", other)
        made = run_import(server, swap, "--apply")
        names = {row["name"] for row in server.request("GET", "/api/v1/instances").json()}

    assert made.returncode == 1 and "failed: taken:" in made.stderr
    assert names == {"first", "last", "other"}


def test_a_folder_of_json_files_is_imported_without_those_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "good.json").write_text('{"name": "good", "options": {"model": "/m.gguf"}}')
    (tmp_path / "bad.json").write_text("{")
    found = from_go_llamactl(tmp_path, None)

    assert [*found.instances] == ["good"]
    why = {row.key: row.note for row in found.rows if row.outcome == "left out"}
    assert "is not an instance of the Go llamactl" in why["instances.bad"]


def test_what_is_no_source_says_so(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("no database")
    with pytest.raises(LlamactlError, match="not a database of the Go llamactl"):
        from_go_llamactl(tmp_path / "no.db", None)
    with pytest.raises(LlamactlError, match="not a llama-swap configuration"):
        from_llama_swap({"models": [1]}, {})
