"""Which running instances differ from what they would be started with now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llamactl.backends.spec_hash import spec_hash, spec_matches
from llamactl.config import Settings
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.instance import InstanceOptions
from llamactl.core.lifecycle import DORMANT, UP, Desired


@dataclass(frozen=True, slots=True)
class Running:
    """An instance with a process."""

    name: str
    options: InstanceOptions  # as they are defined now
    spec_hash: str  # of what its process was begun with


def running(all_managed: Iterable[ManagedInstance]) -> Iterator[Running]:
    """Those that run and are wanted running, and those that sleep."""
    for managed in all_managed:
        now, began = managed.replica.runner.now, managed.replica.engine.spec_hash
        runs = now.state in UP and now.desired is Desired.RUNNING
        if began and (runs or now.state in DORMANT):
            yield Running(managed.instance.name, managed.instance.options, began)


def stale(instances: Iterable[Running], settings: Settings) -> tuple[str, ...]:
    """The names of those that these settings would start with something else."""
    return tuple(one.name for one in instances if not _is_current(one, settings))


def _is_current(one: Running, settings: Settings) -> bool:
    now = spec_hash(settings.engine_of(one.options), one.options)
    return spec_matches(one.spec_hash, now)
