"""A module `pynvml` for a server's own process: two cards, as `nvidia-ml-py` would give them.

The second one has the lower bus, so that the driver's numbers are not CUDA's.
"""

from __future__ import annotations

from pathlib import Path

_MODULE = """
from types import SimpleNamespace

class NVMLError(Exception): ...
def nvmlInit(): ...
def nvmlShutdown(): ...
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(number): return number
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(total=8 << 30)
def nvmlDeviceGetUUID(handle): return f"GPU-{handle}"
def nvmlDeviceGetPciInfo(handle): return SimpleNamespace(busId=f"00000000:{9 - handle}:00.0")
def nvmlDeviceGetComputeRunningProcesses(handle): return []
"""


def with_nvml(folder: Path) -> dict[str, str | None]:
    """Variables by which a server finds it."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "pynvml.py").write_text(_MODULE)
    return {"PYTHONPATH": str(modules), "CUDA_VISIBLE_DEVICES": None}
