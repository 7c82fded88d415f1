"""NVML, as `nvidia-ml-py` gives it: by its contract, since there is no GPU here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from llamactl.node.host import gpus


class Nvml(ModuleType):
    """Two devices; process 7 takes memory on the second, process 8 on both."""

    class NVMLError(Exception): ...

    def __init__(self, broken: str = "") -> None:
        super().__init__("pynvml")
        self.broken = broken
        self.open = 0

    def nvmlInit(self) -> None:
        if self.broken == "init":
            raise self.NVMLError("driver not loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=(handle + 1) << 30)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        if self.broken == "processes":
            raise self.NVMLError("not supported")
        seen = [SimpleNamespace(pid=8, usedGpuMemory=100)]
        return [*seen, SimpleNamespace(pid=7, usedGpuMemory=50)] if handle else seen


def use(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)


def test_devices_and_what_processes_take(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml()
    use(monkeypatch, nvml)

    assert gpus.totals() == {"gpu0": 1 << 30, "gpu1": 2 << 30}
    assert gpus.taken({7}) == {"gpu1": 50}
    assert gpus.taken({7, 8}) == {"gpu0": 100, "gpu1": 150}
    assert gpus.taken({9}) == {}
    assert nvml.open == 0


@pytest.mark.parametrize("broken", ["init", "processes"])
def test_a_driver_that_fails_means_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    use(monkeypatch, Nvml(broken))

    assert gpus.taken({7}) == {}
    assert (gpus.totals() == {}) == (broken == "init")


def test_no_module_means_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, None)

    assert (gpus.totals(), gpus.taken({7})) == ({}, {})
