"""Which GPUs an instance names, and does not leave to its engine."""

from __future__ import annotations

from collections.abc import Sequence

from llamactl.backends.containers import container_of
from llamactl.backends.registry import backend_of
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.scheduling.devices import VISIBLE, numbers_in

_DEVICE = "device="


def named_devices(
    options: InstanceOptions, settings: EngineSettings, ids: Sequence[str]
) -> frozenset[int] | None:
    """By their numbers; None: its engine takes what it sees.

    `ids`: of those that there are. An engine is taken to number them in that order.
    """
    backend, container = backend_of(options.backend_type), container_of(settings, options)
    variables = {**settings.environment, **options.environment}
    seen, is_named = [*range(len(ids))], False
    if container is not None:
        variables |= container.env
        if container.gpus.startswith(_DEVICE):
            seen, is_named = numbers_in(container.gpus.removeprefix(_DEVICE), ids), True
        elif container.gpus != "all":  # how many, or none
            seen = seen[: int(container.gpus or 0)]
    if VISIBLE in variables:
        of_those = numbers_in(variables[VISIBLE], [ids[number] for number in seen])
        seen, is_named = [seen[number] for number in of_those], True
    given = options.backend_options
    if backend.models is not None:
        given = backend.models.given(given, settings.args, variables)
    own = backend.own_devices(given, len(seen))
    if own is not None:
        return frozenset(seen[number] for number in own if number < len(seen))
    return frozenset(seen) if is_named or not seen else None
