"""NVML, as `nvidia-ml-py` gives it: by its contract, since there is no GPU here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from llamactl.core.instance import Container
from llamactl.node.host import gpus
from llamactl.node.host.visible_gpus import VisibleGpus


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

    def nvmlDeviceGetUUID(self, handle: int) -> str | bytes:
        return f"GPU-{handle}" if handle else b"GPU-0"  # bytes in older versions

    def nvmlDeviceGetPciInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(busId=["00000000:AF:00.0", "00000000:3B:00.0"][handle])

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


def test_what_identifies_them_and_the_order_of_their_buses(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Nvml())

    assert gpus.ids() == {"gpu0": "GPU-0", "gpu1": "GPU-1"}
    assert gpus.by_bus() == ["GPU-1", "GPU-0"]
    use(monkeypatch, Nvml("init"))
    assert (gpus.ids(), gpus.by_bus()) == ({}, [])


def test_an_engine_is_kept_from_those_that_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Nvml())
    one, both, boxed = (
        VisibleGpus.without({"GPU-0"}),
        VisibleGpus.without({"GPU-0", "GPU-1", "GPU-gone"}),
        Container("image", gpus="all"),
    )

    assert one.environment({}) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0",
    }  # fmt: skip
    assert both.environment({})["CUDA_VISIBLE_DEVICES"] == "-1"
    assert one.of(boxed).gpus == "device=1"  # as nvidia-smi numbers them
    assert both.of(boxed).gpus == ""
    assert one.of(Container("image")).gpus == ""
    for nothing in (VisibleGpus.without({"GPU-gone"}), VisibleGpus.without(())):
        assert (nothing.environment({}), nothing.of(boxed)) == ({}, boxed)


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
