"""The settings in force say where each comes from, and tell no secret."""

from __future__ import annotations

from pathlib import Path

from support.served import Served, data_folder, serve

SETTINGS = """
instances:
  max_running_instances: 3
database:
  url: ""
backends:
  llama-cpp:
    environment: {HF_TOKEN: hf_secret}
"""


def test_each_has_its_source(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data, {"LLAMACTL_LOG_LEVEL": "warning"}) as server:
        rows = server.request("GET", "/api/v1/config/settings").json()
    found = {row["key"]: (row["value"], row["source"]) for row in rows}

    assert found["instances.max_running_instances"] == (3, str(data / "llamactl.yaml"))
    assert found["log.level"] == ("warning", "variable LLAMACTL_LOG_LEVEL")
    assert found["server.port"][1] == "flag"
    assert found["instances.on_exit"] == ("stop", "default")
    assert "hf_secret" not in str(rows) and server.key not in str(rows)


def test_sources_are_those_of_the_values_in_force(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "instances: {max_instances: 3, configs_dir: declared}")
    (data / "declared").mkdir()
    file = data / "llamactl.yaml"

    def shown(server: Served, key: str) -> tuple[object, str]:
        rows = server.request("GET", "/api/v1/config/settings").json()
        return next((row["value"], row["source"]) for row in rows if row["key"] == key)

    with serve(data) as server:
        text = "server: {max_connections: 5}\ninstances: {max_queue: 7, configs_dir: declared}"
        file.write_text(text)
        server.request("POST", "/api/v1/config/reload?dry_run=true")
        assert shown(server, "instances.max_instances") == (3, str(file)), "nothing was changed"
        file.write_text(f"{text}\nnodes: {{far: {{address: 'http://x'}}}}")
        assert server.request("POST", "/api/v1/config/reload").status_code == 400
        assert shown(server, "instances.max_instances") == (3, str(file)), "it was refused"

        file.write_text(text)
        bad = data / "declared/bad.yaml"
        bad.write_text("idle_timout: 3")
        assert server.request("POST", "/api/v1/config/reload").status_code == 400
        assert shown(server, "instances.max_queue") == (512, "default"), "a declaration was wrong"

        bad.unlink()
        server.request("POST", "/api/v1/config/reload")

        assert shown(server, "instances.max_instances") == (-1, "default")
        assert shown(server, "instances.max_queue") == (7, str(file))
        assert shown(server, "server.max_connections") == (4096, "default"), "it needs a restart"
