"""Settings: precedence, expansion, and faults named by file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamactl.backends import BY_SECTION
from llamactl.config import load
from llamactl.config.sources import without_password
from llamactl.core.errors import InvalidConfig

GO_FILE = """
server:
  host: "0.0.0.0"
  port: 8080
  allowed_origins: ["*"]
  allowed_headers: ["*"]
  enable_swagger: false
backends:
  llama-cpp:
    command: "llama-server"
    args: []
    environment: {}
    docker:
      enabled: false
      image: "ghcr.io/ggml-org/llama.cpp:server"
      args: ["run", "--rm"]
      environment: {}
    response_headers: {}
  vllm: {command: "vllm", args: ["serve"]}
  mlx: {command: "mlx_lm.server", args: []}
data_dir: ~/.local/share/llamactl
instances:
  port_range: [8000, 9000]
  configs_dir: instances
  logs_dir: logs
  auto_create_dirs: true
  max_instances: -1
  default_restart_delay: 5
  timeout_check_interval: 5
database:
  path: llamactl.db
  max_open_connections: 25
  connection_max_lifetime: 5m
auth:
  require_inference_auth: true
  inference_keys: []
  require_management_auth: true
  management_keys: []
local_node: "main"
nodes:
  main:
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "llamactl.yaml"
    path.write_text(text)
    return path


def test_a_file_of_the_go_llamactl_loads_and_its_retired_keys_are_named(tmp_path: Path) -> None:
    loaded = load({}, path=write(tmp_path, GO_FILE))

    assert loaded.settings.server.host == "0.0.0.0"
    assert [w.split()[0] for w in loaded.warnings] == ["auth.inference_keys"]


def test_variables_beat_the_file_which_beats_dotenv_and_flags_beat_all(tmp_path: Path) -> None:
    write(tmp_path, "server: {port: 2}\ninstances: {max_instances: 2}\n")
    (tmp_path / ".env").write_text("LLAMACTL_PORT=1\nLLAMACTL_HOST=127.0.0.9\n")
    env = {"LLAMACTL_MAX_INSTANCES": "3", "HOME": str(tmp_path)}

    settings = load(env, cwd=tmp_path).settings
    flagged = load(env, cwd=tmp_path, flags={"server": {"port": 4}}).settings

    assert (settings.server.port, settings.server.host) == (2, "127.0.0.9")
    assert settings.instances.max_instances == 3
    assert flagged.server.port == 4


def test_off_needs_no_quotes(tmp_path: Path) -> None:
    """YAML 1.1 reads it as a truth: as a budget, that would be one of 0 bytes."""
    names = "memory_budget", "gpu_memory_budget", "default_keep_context"
    write(tmp_path, f"instances: {{{', '.join(f'{name}: off' for name in names)}}}")

    instances = load({"HOME": str(tmp_path)}, cwd=tmp_path).settings.instances

    assert {getattr(instances, name) for name in names} == {"off"}


def test_references_are_expanded(tmp_path: Path) -> None:
    path = write(tmp_path, "data_dir: ${BASE}/x\nlocal_node: ${NODE:-here}\n")

    settings = load({"BASE": "/base"}, path=path).settings

    assert (settings.data, settings.local_node) == (Path("/base/x"), "here")
    with pytest.raises(InvalidConfig, match="BASE is not set"):
        load({}, path=path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server:\n  prot: 1\n", ["line 2", "server.prot", "unknown key"]),
        ("server:\n  port: many\n", ["line 2", "server.port"]),
        ("server: [1\n", ["line 2"]),
        ("instances:\n  port_range: [9, 1]\n", ["port_range"]),
        ("server: {port: 1}\nserver: {port: 2}\n", ["line 2", "twice"]),
        ("server: {host: 0.0.0.0}\nauth: {require_inference_auth: false}\n", ["keep auth on"]),
        ("nodes: {far: {address: 'http://x'}}\n", ["remote nodes"]),
    ],
)
def test_faults_name_the_place(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load({}, path=write(tmp_path, text))

    assert all(word in caught.value.message for word in words)


def test_a_settings_file_that_is_named_must_exist() -> None:
    with pytest.raises(InvalidConfig, match="no such file"):
        load({"LLAMACTL_CONFIG_PATH": "/nowhere.yaml"})


def test_port_range_is_read_in_all_its_forms() -> None:
    for text in ("8100-8200", "8100,8200"):
        settings = load({"LLAMACTL_INSTANCE_PORT_RANGE": text}).settings
        assert settings.instances.port_range == (8100, 8200)


def test_arguments_alone_leave_the_engine_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("backends: {llama-cpp: {args: --seed 7}, vllm: {environment: {A: b}}}")

    backends = load({}, path=path, cwd=tmp_path).settings.backends

    llama_cpp, vllm = (backends.of(BY_SECTION[name]) for name in ("llama-cpp", "vllm"))
    assert (llama_cpp.command, llama_cpp.args) == ("llama-server", ("--seed", "7"))
    assert (vllm.command, vllm.args) == ("vllm", ("serve",))


@pytest.mark.parametrize("form", ["[{long}, {key}]", "\n    - {long}\n    - {key}", "{key}"])
def test_a_short_management_key_is_refused_by_file_and_line(tmp_path: Path, form: str) -> None:
    long = "x" * 20
    path = write(tmp_path, f"auth:\n  management_keys: {form.format(long=long, key='short12')}\n")
    line = 4 if form.startswith("\n") else 2

    with pytest.raises(InvalidConfig, match="openssl") as refused:
        load({}, path=path)
    assert f"{path}, line {line}: auth.management_keys" in refused.value.message
    assert "short12" not in refused.value.message


@pytest.mark.parametrize("variable", [True, False])
def test_a_short_management_key_is_refused_by_its_variable(tmp_path: Path, variable: bool) -> None:
    given = {"LLAMACTL_MANAGEMENT_KEYS": "short"}
    (tmp_path / ".env").write_text("" if variable else "LLAMACTL_MANAGEMENT_KEYS=short\n")
    where = "variable" if variable else ".env"

    with pytest.raises(InvalidConfig, match=f"{where} LLAMACTL_MANAGEMENT_KEYS"):
        load(given if variable else {}, cwd=tmp_path)


@pytest.mark.parametrize(("length", "weak"), [(8, 1), (19, 1), (20, 0)])
def test_a_key_that_is_not_long_is_warned_of(tmp_path: Path, length: int, weak: int) -> None:
    path = write(tmp_path, f"auth: {{management_keys: [{'k' * length}]}}")

    assert len(load({}, path=path).weak_keys) == weak


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:********@host/db"),
        ("postgresql://me:se/c#r@et@host/db", "postgresql://me:********@host/db"),
        ("postgresql://host/db?password=secret&x=1", "postgresql://host/db?password=********&x=1"),
        ("postgresql://me@host/db?sslpassword=secret", None),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_a_database_urls_password_is_never_shown(url: str, shown: str | None) -> None:
    said = without_password(url)

    assert "secret" not in said and "et@host" not in said
    assert shown is None or said == shown
