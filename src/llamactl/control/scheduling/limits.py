"""From the settings and the machine's capacity to the limits for admission."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.config import Settings
from llamactl.config.sections import InstancesSettings
from llamactl.core.errors import InsufficientMemory, NoCapacity
from llamactl.core.memory import Capacity
from llamactl.policy.scheduling.admission import Decision, Refuse, Wait
from llamactl.policy.scheduling.capacity import Limits


def limits_of(settings: Settings, ram: int | None, gpus: Mapping[str, int]) -> Limits:
    """What may run at once. `ram`, `gpus`: bytes that there are, as far as that is known."""
    given = settings.instances
    return _limits(given, given.memory_budget, given.gpu_memory_budget, ram, gpus)


def limits_elsewhere(settings: Settings, ram: int | None, gpus: Mapping[str, int]) -> Limits:
    """Of another machine's memory. A budget in bytes is that of the server's own."""
    given = settings.instances
    return _limits(given, _share(given.memory_budget), _share(given.gpu_memory_budget), ram, gpus)


def _share(budget: int | str) -> str:
    return budget if isinstance(budget, str) else "auto"


def _limits(
    given: InstancesSettings, for_ram: int | str, for_gpus: int | str, ram: int | None,
    gpus: Mapping[str, int],
) -> Limits:  # fmt: skip
    """`for_ram`, `for_gpus`: the budgets."""
    running = given.max_running_instances
    groups = {name: n for name, n in given.group_limits.items() if n >= 0}
    left = 1.0 - given.memory_margin
    sizes = {name: _budget(for_gpus, size, left) for name, size in gpus.items()}
    return Limits(
        running if running >= 0 else None,
        groups,
        ram=_budget(for_ram, ram, left),
        gpus={name: size for name, size in sizes.items() if size is not None},
        min_residency=given.min_residency,
        strategy=given.placement,
    )


def _budget(given: int | str, total: int | None, left: float) -> int | None:
    if given == "off" or (given == "auto" and total is None):
        return None
    return int((total or 0) * left) if isinstance(given, str) else given


def capacity_of(
    settings: Settings, limits: Limits, ram: int | None, gpus: Mapping[str, int], *,
    other_gpus: bool,
) -> Capacity:  # fmt: skip
    """What engines can take a share of. `ram`, `gpus`: bytes that there are."""
    given = settings.instances
    return Capacity(
        ram or 0, limits.ram if given.memory_budget == "auto" else None,
        gpus, limits.gpus if given.gpu_memory_budget == "auto" else {}, other_gpus,
    )  # fmt: skip


def room_of(limits: Limits) -> int | None:
    """Bytes that one model may take, of RAM and GPUs together; None where that has no limit."""
    return None if limits.ram is None else limits.ram + sum(limits.gpus.values())


def no_room(decision: Decision) -> type[NoCapacity]:
    """The error that names the limit that a start hit."""
    lacks_memory = isinstance(decision, Wait | Refuse) and decision.for_memory
    return InsufficientMemory if lacks_memory else NoCapacity
