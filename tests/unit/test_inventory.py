"""Which engines are installed, and whether they see a GPU."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llamactl.backends.llama_cpp import LLAMA_CPP
from llamactl.backends.mlx import MLX
from llamactl.core.ports.engines import Installed
from llamactl.core.ports.node import EngineSettings
from llamactl.node import CommandEngineProbe, EngineBuilds, installed
from llamactl.node.host import graphics

# of llama-server b6 on three machines
CUDA = """Available devices:
  CUDA0: NVIDIA H200 (143167 MiB, 142500 MiB free)
  CUDA1: NVIDIA H200 (143167 MiB, 142500 MiB free)
"""
NONE = "Available devices:\n  (none)\n"
CPU = "Available devices:\n  CPU: AMD EPYC (24105 MiB, 24105 MiB free)\n"


def program(folder: Path, devices: str) -> str:
    file = folder / "llama-server"
    (folder / "devices").write_text(devices)
    file.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --version) echo "version: 7 (abc)";; *) cat {folder}/devices;; esac\n'
    )
    file.chmod(0o755)
    return str(file)


def look(folder: Path, command: str) -> Installed:
    settings, builds = EngineSettings(command, command_given=True), EngineBuilds(folder)
    probe = CommandEngineProbe(LLAMA_CPP.kind, lambda: settings, builds)
    return asyncio.run(installed(LLAMA_CPP.kind, settings, builds, probe))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Its PCI bus."""
    monkeypatch.setattr(graphics, "_PCI", tmp_path)
    return tmp_path


def plug(bus: Path, slot: str, vendor: str, kind: str) -> None:
    (bus / slot).mkdir()
    (bus / slot / "vendor").write_text(f"{vendor}\n")
    (bus / slot / "class").write_text(f"{kind}\n")


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (CUDA, ["CUDA0: NVIDIA H200", "CUDA1: NVIDIA H200"]),
        (NONE, []),
        (CPU, []),
        ("  Vulkan0: AMD Radeon RX 7900 XT (RADV) (20464 MiB, 20000 MiB free)\n",
         ["Vulkan0: AMD Radeon RX 7900 XT (RADV)"]),
        ("  MTL0: Apple M3 Max (49152 MiB, 49152 MiB free)\n", ["MTL0: Apple M3 Max"]),
    ],
)  # fmt: skip
def test_the_gpus_in_what_llama_server_says_of_its_devices(text: str, gpus: list[str]) -> None:
    assert [*LLAMA_CPP.gpus(text)] == gpus


def test_only_gpus_count_whoever_made_them(machine: Path) -> None:
    plug(machine, "0000:00:02.0", "0x1234", "0x030000")  # a virtual screen
    plug(machine, "0000:00:03.0", "0x10de", "0x040300")  # its sound
    plug(machine, "0000:00:04.0", "0x10de", "0x030200")
    plug(machine, "0000:00:05.0", "0x10de", "0x030200")
    plug(machine, "0000:00:06.0", "0x1002", "0x038000")
    (machine / "0000:00:07.0").mkdir()

    assert graphics.makers() == ("NVIDIA", "AMD")


def test_an_engine_that_uses_its_gpu(machine: Path, tmp_path: Path) -> None:
    found = look(tmp_path, program(tmp_path, CUDA))

    assert (found.version, found.advice) == ("7 (abc)", "")
    assert found.gpu == "uses CUDA0: NVIDIA H200, CUDA1: NVIDIA H200"


def test_one_that_was_not_built_for_it_is_told_how_to_have_another(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = program(tmp_path, NONE)
    plug(machine, "0000:00:04.0", "0x10de", "0x030200")
    monkeypatch.setattr(graphics, "has_driver", lambda maker: True)
    found = look(tmp_path, command)

    assert found.gpu == "sees no GPU: this build can't use the NVIDIA GPU of this machine"
    assert "llamactl engine build -- -DGGML_CUDA=ON" in found.advice

    monkeypatch.setattr(graphics, "has_driver", lambda maker: False)
    without = look(tmp_path, command)
    assert "the driver of the NVIDIA GPU is not loaded" in without.gpu
    assert without.advice.startswith("install NVIDIA's driver")


def test_a_machine_without_one(machine: Path, tmp_path: Path) -> None:
    found = look(tmp_path, program(tmp_path, CPU))

    assert (found.gpu, found.devices) == ("no GPU in this machine", [])


def test_one_that_is_not_installed(tmp_path: Path) -> None:
    found = look(tmp_path, str(tmp_path / "nothing"))

    assert found.program == ""
    assert "was not found; install it" in found.advice


def test_a_python_engine_s_version_is_read_and_it_is_not_run(tmp_path: Path) -> None:
    about = tmp_path / "lib/python3.11/site-packages/mlx_lm-0.32.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mlx-lm\nVersion: 0.32.2\n")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/mlx_lm.server"
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    settings, builds = EngineSettings(str(command), command_given=True), EngineBuilds(tmp_path)
    probe = CommandEngineProbe(MLX.kind, lambda: settings, builds)
    found = asyncio.run(installed(MLX.kind, settings, builds, probe))

    assert (found.program, found.version, found.devices) == (str(command), "0.32.2", None)
