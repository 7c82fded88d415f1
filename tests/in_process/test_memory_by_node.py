"""The memory of another machine is not taken from this one, and the other way round."""

from __future__ import annotations

import pytest

from llamactl.config import Settings
from llamactl.control.scheduling.limits import limits_elsewhere
from llamactl.control.scheduling.memory_by_node import MemoryByNode
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.memory import MeasuredMemory, Need
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.capacity import Limits, Taken
from llamactl.policy.scheduling.node_memory import at_node, of_node, with_nodes
from support.in_memory import NoMemory

GIB = 1 << 30
NEED = Need(2 * GIB, {"file": GIB}, {"CUDA0": 4 * GIB})
THERE = Need(gpus={"two/RAM": 3 * GIB, "two/CUDA0": 4 * GIB})


def instance(name: str) -> Instance:
    return Instance(name, name, 0, InstanceOptions())


async def test_each_machine_is_asked_about_its_own() -> None:
    local, elsewhere = NoMemory(), NoMemory()
    local.needs = elsewhere.needs = {"near": NEED, "far": NEED}
    both = MemoryByNode(local, lambda _: elsewhere)
    usage = MeasuredMemory(GIB, GIB, {"CUDA0": GIB})

    assert await both.need(instance("near"), LOCAL) == NEED
    assert await both.need(instance("far"), "two") == THERE
    assert both.asleep(instance("far"), usage, "two") == Need(
        gpus={"two/RAM": 2 * GIB, "two/CUDA0": GIB}
    )
    await both.learn(instance("far"), usage, "two")
    await both.raise_after_oom(instance("far"), THERE, "two")
    assert (local.learnt, local.raised) == ([], [])
    assert (elsewhere.learnt, elsewhere.raised) == ([("far", usage)], ["far"])


@pytest.mark.parametrize("node", [LOCAL, "two"])
async def test_what_is_at_a_node_is_found_there_again(node: str) -> None:
    there = at_node(Need(GIB, gpus={"CUDA0": GIB}), node)

    assert of_node(there, node) == Need(GIB, gpus={"CUDA0": GIB})
    assert of_node(there, "three") == Need()


async def test_an_instance_elsewhere_finds_room_there_only() -> None:
    limits = with_nodes(Limits(ram=GIB), {"two": Limits(ram=8 * GIB, gpus={"CUDA0": 4 * GIB})})

    assert limits.ram == GIB
    assert not lacks(limits, THERE)
    assert lacks(limits, THERE, THERE)[0].startswith("two/CUDA0: 4.00 GiB more needed")
    assert lacks(limits, NEED)[0].startswith("RAM: ")


def lacks(limits: Limits, wanted: Need, *taken: Need) -> list[str]:
    return Taken(limits, [Taking(need) for need in taken]).lacks(Taking(wanted))


class Taking:
    group = ""
    runs = True

    def __init__(self, need: Need) -> None:
        self.need = need


async def test_a_budget_in_bytes_is_of_the_servers_own_machine() -> None:
    given = {"memory_budget": GIB, "gpu_memory_budget": "off", "memory_margin": 0.5}
    settings = Settings.model_validate({"instances": given})

    assert limits_elsewhere(settings, 8 * GIB, {"CUDA0": GIB}) == Limits(
        ram=4 * GIB, min_residency=settings.instances.min_residency
    )
