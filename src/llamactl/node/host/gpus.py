"""GPUs and what processes take of their memory, by NVML. No driver, no GPUs.

https://docs.nvidia.com/deploy/nvml-api/; the module is `nvidia-ml-py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def totals() -> dict[str, int]:
    """Bytes of each GPU, as `gpu0`, `gpu1`, …"""
    found = {}
    with _nvml() as nvml:
        for name, handle in _handles(nvml):
            found[name] = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return found


def ids() -> dict[str, str]:
    """What identifies each of them, wherever it is plugged in."""
    with _nvml() as nvml:
        return {name: _text(nvml.nvmlDeviceGetUUID(one)) for name, one in _handles(nvml)}
    return {}


def by_bus() -> list[str]:
    """Those ids in the order of the PCI buses."""
    found = list[tuple[str, str]]()
    with _nvml() as nvml:
        for _, handle in _handles(nvml):
            bus = _text(nvml.nvmlDeviceGetPciInfo(handle).busId)
            found.append((bus.upper(), _text(nvml.nvmlDeviceGetUUID(handle))))
    return [one for _, one in sorted(found)]


def has_unmeasured() -> bool:
    """Are there some that NVML does not show? AMD's driver has this device."""
    return Path("/dev/kfd").exists()


def taken(pids: Collection[int]) -> dict[str, int]:
    """Bytes that these processes take together, by GPU; without those they do not use."""
    found: dict[str, int] = {}
    with _nvml() as nvml:
        for name, handle in _handles(nvml):
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid in pids and process.usedGpuMemory is not None:
                    found[name] = found.get(name, 0) + int(process.usedGpuMemory)
    return found


def _text(said: str | bytes) -> str:
    return said.decode() if isinstance(said, bytes) else said


@contextmanager
def _nvml() -> Iterator[Any]:
    """A started NVML; where there is none, the block ends at its first call."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except Exception:
        yield _NoNvml()
        return
    try:
        with suppress(nvml.NVMLError):
            yield nvml
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


class _NoNvml:
    def nvmlDeviceGetCount(self) -> int:
        return 0


def _handles(nvml: Any) -> Iterator[tuple[str, Any]]:
    for number in range(nvml.nvmlDeviceGetCount()):
        yield f"gpu{number}", nvml.nvmlDeviceGetHandleByIndex(number)
