"""GPUs out of service, through the commands, down to what an engine sees of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.fake_engine import create_fake
from support.fake_nvml import with_nvml
from support.installed import PYTHON
from support.served import Served, data_folder, serve


def llamactl(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def seen(pid: int) -> dict[str, str]:
    """What CUDA would read."""
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    pairs = dict(word.partition("=")[::2] for word in words)
    return {name: value for name, value in pairs.items() if name.startswith("CUDA_")}


def test_a_gpu_is_taken_out_of_service_and_stays_so_after_a_restart(tmp_path: Path) -> None:
    folder, variables = data_folder(tmp_path, ""), with_nvml(tmp_path)
    pinned = {"environment": {"CUDA_VISIBLE_DEVICES": "1"}}
    with serve(folder, variables) as server:
        made = create_fake(server, tmp_path, "one")
        create_fake(server, tmp_path, "pinned", start=False, **pinned)
        assert seen(made["pid"]) == {}
        unknown = llamactl(server, "node", "device", "disable", "main", "gpu7")
        assert "its devices are gpu0, gpu1" in unknown.stderr
        said = llamactl(server, "node", "device", "disable", "main", "gpu1").stdout
        assert "gpu1 of main is out of service" in said
        assert server.request("GET", "/api/v1/instances/one").json()["pid"] == made["pid"]

    with serve(folder, variables) as server:
        assert (
            "GPU gpu1: 8.0 GiB, out of service" in llamactl(server, "node", "show", "main").stdout
        )
        assert "gpu1 is out of service" in llamactl(server, "engine", "ls").stdout
        one = server.request("POST", "/api/v1/instances/one/restart?wait=true").json()
        assert seen(one["pid"]) == {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1",
        }  # fmt: skip
        refused = llamactl(server, "start", "pinned")
        assert "device gpu1 of node 'main' is out of service" in refused.stderr
        path = "/api/v1/nodes/main/devices/gpu7/disable"
        answer = server.request("POST", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "device_not_found")
        llamactl(server, "node", "device", "enable", "main", "gpu1")
        started = server.request("POST", "/api/v1/instances/pinned/start?wait=true").json()
        assert seen(started["pid"]) == {"CUDA_VISIBLE_DEVICES": "1"}
