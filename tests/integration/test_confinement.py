"""What the settings forbid is refused at every way in, and again at each start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.fake_engine import create_fake, wrapper
from support.gguf_file import write_tiny_gguf
from support.installed import PYTHON
from support.served import Served, data_folder, serve

BASE = "/api/v1/instances"
OUTSIDE = "/etc/passwd"


def command(server: Served, *words: str) -> tuple[int, str]:
    said = subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False, cwd=server.data_dir,
        env={**os.environ, "HOME": str(server.data_dir)},
    )  # fmt: skip
    return said.returncode, said.stdout + said.stderr


def settings(data: Path, **values: Any) -> None:
    (data / "llamactl.yaml").write_text(yaml.safe_dump(values))


def assert_refused(answer: httpx.Response, field: str, setting: str) -> None:
    assert answer.status_code == 403, answer.text
    said = answer.json()
    assert said["code"] == "forbidden_by_settings"
    assert field in said["details"]["fields"] and field in said["error"]
    assert setting in said["error"]


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with both settings, and a model in its one root."""
    folder = tmp_path_factory.mktemp("confined")
    (folder / "models").mkdir()
    write_tiny_gguf(folder / "models" / "tiny.gguf")
    data = data_folder(folder, "")
    settings(data, allow_commands=False, model_roots=[str(folder / "models")])
    with serve(data) as server:
        yield server


def root(server: Served) -> Path:
    return server.data_dir.parent / "models"


FORBIDDEN = [
    ({"command_override": "/bin/sh"}, "command_override", "allow_commands"),
    ({"environment": {"LD_PRELOAD": "x.so"}}, "environment.LD_PRELOAD", "allow_commands"),
    ({"mcp_servers_json": "{}"}, "mcp_servers_json", "allow_commands"),
    ({"extra_args": ["--tools", "all"]}, "extra_args --tools", "allow_commands"),
    ({"model": OUTSIDE}, "model", "model_roots"),
    ({"mmproj": OUTSIDE}, "mmproj", "model_roots"),
    ({"log_file": "../x.log"}, "log_file", "model_roots"),
    ({"extra_args": ["-lcs", OUTSIDE]}, "extra_args -lcs", "model_roots"),
    ({"environment": {"LLAMA_ARG_MODEL": OUTSIDE}}, "environment.LLAMA_ARG_MODEL", "model_roots"),
    ({"model_url": "https://hub.example/a.gguf"}, "model_url", "model_roots"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field", "setting"), FORBIDDEN)
def test_create_update_and_preview_refuse_it(
    confined: Served, body: dict[str, Any], field: str, setting: str
) -> None:
    model = str(root(confined) / "tiny.gguf")
    made = confined.request("POST", f"{BASE}/there?start=false", {"model": model})
    assert made.status_code == 201, made.text
    before = confined.instance("there")["options"]

    assert_refused(confined.request("POST", f"{BASE}/new", body), field, setting)
    structured = {"backend_type": "llama_cpp", "backend_options": body}
    if set(body).isdisjoint({"command_override", "environment"}):
        assert_refused(confined.request("POST", f"{BASE}/new", structured), field, setting)
    assert_refused(confined.request("POST", f"{BASE}/new/preview", body), field, setting)
    assert_refused(confined.request("PUT", f"{BASE}/there", body), field, setting)
    assert_refused(confined.request("POST", f"{BASE}/there/preview", body), field, setting)
    whole = {"instances": {"new": body, "fine": {"model": model}}}
    answer = confined.request("PUT", "/api/v1/config/instances", whole)
    assert answer.status_code == 400 and field in answer.text and setting in answer.text
    assert [row["name"] for row in confined.request("GET", BASE).json()] == ["there"]
    assert confined.instance("there")["options"] == before
    confined.request("DELETE", f"{BASE}/there")


def test_what_the_settings_allow_is_served(confined: Served) -> None:
    body = {"model": str(root(confined) / "tiny.gguf"), "environment": {"OMP_NUM_THREADS": "1"}}

    assert confined.request("POST", f"{BASE}/fine", body).json()["state"] == "ready"
    confined.request("DELETE", f"{BASE}/fine")


def test_a_command_line_is_read_without_what_is_forbidden(confined: Served) -> None:
    line = (
        "LD_PRELOAD=/x.so CUDA_VISIBLE_DEVICES=0 /opt/own/llama-server "
        f"-m {OUTSIDE} -c 512 --tools all"
    )
    said = confined.request(
        "POST", "/api/v1/backends/llama-cpp/parse-command", {"command": line}
    ).json()

    assert said["options"]["backend_options"] == {"ctx_size": 512}
    assert said["options"]["environment"] == {"CUDA_VISIBLE_DEVICES": "0"}
    assert "command_override" not in said["options"]
    for words in ("environment.LD_PRELOAD: allow_commands", "tools: allow_commands",
                  "command_override: allow_commands",
                  f"model: {OUTSIDE} is outside model_roots"):  # fmt: skip
        assert words in " ".join(said["not_understood"])


def test_no_file_elsewhere_is_inspected_and_nothing_is_downloaded_there(confined: Served) -> None:
    inspect = "/api/v1/models/inspect?model="
    for path in (OUTSIDE, "/nowhere/at/all.gguf"):
        assert_refused(confined.request("GET", f"{inspect}{path}"), "model", "model_roots")
    inside = confined.request("GET", f"{inspect}{root(confined)}/tiny.gguf")
    assert inside.status_code == 200, inside.text
    wanted = {"model": "org/tiny"}
    answer = confined.request("POST", "/api/v1/models/download", wanted)
    assert answer.status_code == 403 and "models.cache_dir" in answer.text
    pulled = confined.request("POST", "/api/pull", {"model": "org/tiny"})
    assert "models.cache_dir" in pulled.text
    assert confined.request("GET", "/api/v1/models/jobs").json() == []


def test_the_command_line_and_an_import_are_bound_too(confined: Served) -> None:
    code, said = command(confined, "create", "new", f"model={OUTSIDE}")
    assert (code != 0, "model_roots" in said) == (True, True), said
    swap = confined.data_dir / "swap.yaml"
    swap.write_text(f"models: {{new: {{cmd: 'llama-server --port ${{PORT}} -m {OUTSIDE}'}}}}\n")
    code, said = command(confined, "import", "llama-swap", str(swap), "--apply")
    assert (code != 0, "model_roots" in said) == (True, True), said
    assert confined.request("GET", BASE).json() == []


def test_what_the_owner_of_the_server_wrote_is_trusted(tmp_path: Path, tiny_model: Path) -> None:
    engine = wrapper(tmp_path / "engine", PYTHON, "-m", "llamactl.engine")
    data = data_folder(tmp_path, "")
    backend = {
        "command": str(engine),
        "args": ["-m", str(tiny_model)],
        "environment": {"PYTHONDONTWRITEBYTECODE": "1"},
    }
    settings(
        data, allow_commands=False, model_roots=["models"], instances={"configs_dir": "declared"},
        backends={"llama-cpp": backend},
    )  # fmt: skip
    (data / "declared").mkdir()
    own = {"command_override": str(engine), "model": str(tiny_model)}
    (data / "declared" / "own.yaml").write_text(yaml.safe_dump(own))
    with serve(data) as server:
        assert server.request("POST", f"{BASE}/own/start?wait=true").json()["state"] == "ready"
        assert server.request("POST", f"{BASE}/plain", {"ctx_size": 256}).json()["state"] == "ready"


def test_what_is_stored_stays_and_is_not_started(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create_fake(server, tmp_path, "runs")
        create_fake(server, tmp_path, "rests", start=False)
        assert command(server, "backup", "../copy.db")[0] == 0
    assert command_beside(data, "restore", "../copy.db") == 0
    settings(data, allow_commands=False, model_roots=["models"])
    with serve(data) as server:
        for name in ("runs", "rests"):
            answer = server.request("POST", f"{BASE}/{name}/start")
            assert_refused(answer, "command_override", "allow_commands")
        row = server.until("runs", "failed")  # it was wanted on, and is told why it is not
        assert "the settings forbid its command_override" in str(row)
        plan = server.request("POST", f"{BASE}/rests/plan").json()
        assert (plan["action"], "allow_commands" in plan["reason"]) == ("refuse", True)
        asked = ask_as_friend(server, "rests")
        assert asked.status_code == 503 and "command_override" in asked.text
        doctor = command(server, "doctor")[1]
        for words in ("rests cannot use command_override: allow_commands", "runs cannot use model"):
            assert words in doctor
        change: dict[str, object] = {"command_override": None}
        assert_refused(server.request("PUT", f"{BASE}/rests", change), "model", "model_roots")
        change = {"command_override": None, "model": str(data / "models" / "any")}
        assert server.request("PUT", f"{BASE}/rests", change).status_code == 200
        assert server.request("DELETE", f"{BASE}/runs").status_code == 204


def ask_as_friend(server: Served, model: str) -> httpx.Response:
    """With an inference key, which is to see no path."""
    key = server.request("POST", "/api/v1/auth/keys", {"name": "friend"}).json()["key"]
    body = {"model": model, "messages": []}
    answer = server.request("POST", "/v1/chat/completions", body, key=key)
    assert "/" not in answer.json()["error"], answer.text
    assert "log_tail" not in answer.text
    return answer


def command_beside(data: Path, *words: str) -> int:
    said = subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(data)],
        capture_output=True, check=False, cwd=data,
    )  # fmt: skip
    return said.returncode


def test_a_link_that_leads_elsewhere_by_now_is_not_followed(confined: Served) -> None:
    link, model = root(confined) / "link.gguf", root(confined) / "tiny.gguf"
    link.symlink_to(model)
    body = {"model": str(link)}
    assert confined.request("POST", f"{BASE}/linked?start=false", body).status_code == 201
    link.unlink()
    link.symlink_to(OUTSIDE)

    assert_refused(confined.request("POST", f"{BASE}/linked/start"), "model", "model_roots")
    assert ask_as_friend(confined, "linked").status_code == 503
    link.unlink()
    link.symlink_to(model)
    started = confined.request("POST", f"{BASE}/linked/start?wait=true")
    assert started.json()["state"] == "ready", started.text
    link.unlink()
    link.symlink_to(OUTSIDE)
    assert_refused(confined.request("POST", f"{BASE}/linked/restart"), "model", "model_roots")
    assert confined.instance("linked")["state"] == "ready"  # what runs goes on
    confined.request("DELETE", f"{BASE}/linked")
    link.unlink()


def test_both_settings_change_while_it_serves(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create_fake(server, tmp_path, "runs")
        settings(data, allow_commands=False, model_roots=["models"])
        told = server.request("POST", "/api/v1/config/reload").json()

        assert sorted(told["settings"]) == ["allow_commands", "model_roots"]
        assert (told["needs_restart"], told["restart"]) == ([], [])
        assert server.instance("runs")["pid"] == made["pid"]
        answer = server.request("POST", f"{BASE}/new", {"command_override": "/bin/sh"})
        assert_refused(answer, "command_override", "allow_commands")
        settings(data)
        server.request("POST", "/api/v1/config/reload")
        create_fake(server, tmp_path, "new", start=False)
