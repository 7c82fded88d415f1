"""Options as the installed engine tells them, for as long as it is the same engine."""

from __future__ import annotations

from pathlib import Path

from support.served import data_folder, serve

VLLM = """#!/bin/sh
echo "ModelConfig:"
echo "  --dtype {auto,half}   Data type. (default: auto)"
echo "  --seen-$1 N           words (default: 1)"
echo "  --model MODEL"
echo "  --served-model-name NAME"
echo "  --port PORT"
"""
ITS_OWN = ["model", "served_model_name", "port", "extra_args"]


def test_they_are_the_engines_own(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        rows = server.request("GET", "/api/v1/backends/llama-cpp/options").json()
        found = {row["name"]: row for row in rows}
        assert len(found) > 200 and found["ctx_size"]["type"] == "integer"
        assert "cache_type_k" in found and "q8_0" in found["cache_type_k"]["choices"]
        none = server.request("GET", "/api/v1/backends/mlx/options")
        assert (none.status_code, none.json()["code"]) == (500, "engine_missing")
        line = "mlx_lm.server --model org/x --trust-remote-code"
        path = "/api/v1/backends/mlx/parse-command"
        parsed = server.request("POST", path, {"command": line}).json()
        assert parsed["options"] == {
            "backend_type": "mlx_lm",
            "backend_options": {"model": "org/x", "trust_remote_code": True},
        }


def test_a_line_with_a_program_of_its_own_keeps_it_and_its_own_options(tmp_path: Path) -> None:
    line = "sudo -u llama /opt/own/llama-server -m /m/a.gguf --its-own 1 --port 8080"
    with serve(data_folder(tmp_path, "")) as server:
        path = "/api/v1/backends/llama-cpp/parse-command"
        found = server.request("POST", path, {"command": line}).json()

    assert found["options"] == {
        "backend_type": "llama_cpp", "backend_options": {"model": "/m/a.gguf", "its_own": 1},
        "command_override": "/opt/own/llama-server",
    }  # fmt: skip
    said = [word.partition(":")[0] for word in found["not_understood"]]
    assert said == ["sudo -u llama", "--port"]


def test_another_engine_is_asked_anew(tmp_path: Path) -> None:
    script = tmp_path / "vllm"
    script.write_text(VLLM)
    script.chmod(0o755)
    path = "/api/v1/backends/vllm/options"
    with serve(data_folder(tmp_path, f"backends: {{vllm: {{command: {script}}}}}")) as server:
        names = [row["name"] for row in server.request("GET", path).json()]
        script.write_text(VLLM.replace("dtype", "other"))
        after = [row["name"] for row in server.request("GET", path).json()]

    assert names == ["dtype", "seen_serve", *ITS_OWN]
    assert after == ["other", "seen_serve", *ITS_OWN]


def test_it_is_asked_in_the_environment_that_it_serves_in(tmp_path: Path) -> None:
    """Without its `LD_LIBRARY_PATH` an engine can't even say its version."""
    script = tmp_path / "llama-server"
    script.write_text('#!/bin/sh\necho "version: ${LIBRARIES:-no libraries}"\n')
    script.chmod(0o755)
    settings = f"backends: {{llama-cpp: {{command: {script}, environment: {{LIBRARIES: all}}}}}}"
    with serve(data_folder(tmp_path, settings)) as server:
        assert server.request("GET", "/api/v1/server/version").text == "version: all\n"
