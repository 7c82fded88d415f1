"""GPUs that are out of service: nothing new starts on them, and what runs stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import orjson
import pytest

from llamactl.cluster.calls.messages import Operation
from llamactl.control.lifecycle.device_book import DeviceBook
from llamactl.control.other_nodes.devices import DevicesInService
from llamactl.core.errors import DeviceNotFound, NodeAway, NoMatchingNode
from llamactl.core.events import ProcessRecord
from llamactl.core.instance import InstanceOptions
from llamactl.core.keys import GUEST
from llamactl.core.ports.node import LOCAL, EngineSettings, LaunchSpec, Node, PortChoice
from support.control_clusters import Cluster
from support.control_path import settle

GPUS = {"gpu0": "GPU-a", "gpu1": "GPU-b"}
PINNED: dict[str, Any] = {"environment": {"CUDA_VISIBLE_DEVICES": "1"}}


class WithGpus(Cluster):
    """Each node has two of them."""

    def __init__(self, others: int = 1, full: bool = False) -> None:
        super().__init__(others)
        self.ids: dict[str, Mapping[str, str]] = {}
        self.specs: list[LaunchSpec] = []
        self.book = DeviceBook(lambda node: self.ids.get(node, GPUS))
        self.kept_devices: list[set[str]] = []
        self.disk_is_full = full
        for one in self.there.nodes:
            one.devices = self.book
        for node in (self.there.node, *self.fakes.values()):
            self._watch(node)
        wanted, tasks = self.there.instances.wanted, self.there.instances.tasks
        self.service = DevicesInService(wanted, tasks, self._keep)

    def _watch(self, node: object) -> None:
        prepare = node.prepare  # type: ignore[attr-defined]

        async def seen(spec: LaunchSpec) -> object:
            self.specs.append(spec)
            return await prepare(spec)

        node.prepare = seen  # type: ignore[attr-defined]

    def _keep(self, entries: Set[str]) -> None:
        if self.disk_is_full:
            raise OSError(28, "no space left on device")
        self.kept_devices.append({*entries})

    def disable(self, device: str, node: str = LOCAL) -> None:
        self.service.disable(self.there.nodes.named(node), device)

    def enable(self, device: str, node: str = LOCAL) -> None:
        self.service.enable(self.there.nodes.named(node), device)

    def hidden(self) -> Sequence[str]:
        """From the last engine that was started."""
        return [*self.specs[-1].hidden_devices]


async def test_an_engine_that_chooses_by_itself_does_not_see_it() -> None:
    one = WithGpus()
    await one.create("before", nodes=["main"])
    assert one.hidden() == []
    one.disable("gpu1")
    await one.create("a", nodes=["main"])
    assert one.hidden() == ["GPU-b"]
    one.enable("gpu1")
    await one.create("b", nodes=["main"])

    assert one.hidden() == []
    assert one.kept_devices == [{"local/GPU-b"}, set()]


async def test_what_runs_on_it_stays_and_its_next_start_does_without() -> None:
    one = WithGpus()
    await one.create("a", nodes=["main"])
    pids = one.there.node.alive
    one.disable("gpu1")
    await settle()
    assert one.there.node.alive == pids
    await one.there.instances.restart("a", wait=True, evict=False, force=True)

    assert one.hidden() == ["GPU-b"]


async def test_what_names_it_is_refused_with_the_reason_until_it_is_back() -> None:
    one = WithGpus(0)
    await one.there.create("a", start=False, **PINNED)
    await one.there.create("other", start=False, environment={"CUDA_VISIBLE_DEVICES": "0"})
    one.disable("gpu1")
    with pytest.raises(NodeAway, match="device gpu1 of node 'local' is out of service") as error:
        await one.there.instances.start("a", wait=True, evict=False)
    assert "llamactl node device enable local gpu1" in error.value.message
    assert not isinstance(error.value, NoMatchingNode)
    with pytest.raises(NodeAway, match="out of service"):
        await one.there.on_demand.lease("a", GUEST)
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert (plan.action, plan.reason) == ("refuse", error.value.message)
    await one.there.instances.start("other", wait=True, evict=False)
    assert one.hidden() == []  # its numbers mean what they did
    one.enable("gpu1")
    await one.there.instances.start("a", wait=True, evict=False)

    assert one.there.state("a") == "ready"


async def test_what_names_it_goes_to_a_node_where_that_number_is_in_service() -> None:
    one = WithGpus()
    one.disable("gpu1")

    assert await one.create("a", **PINNED) == "two"
    await one.there.instances.stop("a", wait=True, force=True)
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert "device gpu1 of node 'local' is out of service" in plan.nodes["local"]
    assert plan.nodes["two"] == ""
    one.disable("gpu1", "two")
    with pytest.raises(NodeAway, match="out of service"):
        await one.there.instances.start("a", wait=True, evict=False)


async def test_what_a_drain_stopped_starts_when_its_device_is_back() -> None:
    one = WithGpus()
    await one.create("a", nodes=["main"], **PINNED)
    one.disable("gpu1")
    here = one.there.nodes.named(LOCAL)
    await one.drains.drain(here)
    assert one.there.state("a") == "stopped"
    one.drains.resume(here)
    await settle()
    assert one.there.state("a") == "stopped"  # it waits for its device, and goes nowhere else
    one.enable("gpu1")
    await one.there.until("a", "ready")

    assert one.node_of("a") == LOCAL


async def test_it_is_known_by_its_id_when_the_numbers_change() -> None:
    one = WithGpus(0)
    one.disable("gpu1")
    one.ids[LOCAL] = {"gpu0": "GPU-b", "gpu1": "GPU-c"}  # after a boot without one of them
    await one.there.create("a")

    assert one.hidden() == ["GPU-b"]
    assert one.book.out_of(LOCAL) == ["gpu0"]
    one.ids[LOCAL] = {"gpu0": "GPU-c"}  # it is out of the machine, too
    assert one.book.out_of(LOCAL) == []
    one.enable("GPU-b")
    assert one.book.out == set()


async def test_an_unknown_device_is_refused_with_those_that_there_are() -> None:
    one = WithGpus()
    for act in (one.disable, one.enable):
        with pytest.raises(DeviceNotFound, match="its devices are gpu0, gpu1"):
            act("gpu7")
    one.ids["two"] = {}
    with pytest.raises(DeviceNotFound, match="no device is known there"):
        one.disable("gpu0", "two")


async def test_a_full_disk_changes_nothing() -> None:
    one = WithGpus(full=True)
    with pytest.raises(OSError, match="no space"):
        one.disable("gpu1")

    assert one.book.out == set()


def test_what_is_hidden_reaches_a_node_elsewhere_and_an_older_server_hides_nothing() -> None:
    spec = LaunchSpec(
        "r", "i", "one", 1, InstanceOptions(), EngineSettings(), PortChoice(1, 2),
        hidden_devices=("GPU-a",),
    )  # fmt: skip
    prepare = Operation[[LaunchSpec], ProcessRecord](Node.prepare)
    given = orjson.loads(orjson.dumps(prepare.given(spec)))
    assert [*prepare.arguments(given)["spec"].hidden_devices] == ["GPU-a"]
    del given["spec"]["hidden_devices"]

    assert [*prepare.arguments(given)["spec"].hidden_devices] == []
