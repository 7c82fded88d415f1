"""The settings in force say where each comes from, and tell no secret."""

from __future__ import annotations

from pathlib import Path

from support.served import data_folder, serve

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
