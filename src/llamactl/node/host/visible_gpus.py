"""What a new engine may see of the GPUs, where some of them are out of service."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from llamactl.core.instance import Container
from llamactl.node.host import gpus
from llamactl.policy.scheduling.devices import of_container, visible


@dataclass(frozen=True, slots=True)
class VisibleGpus:
    """`hidden`: ids of those that it may not see; none: nothing is changed."""

    hidden: Collection[str] = ()
    ids: Mapping[str, str] | None = None  # by number, as the driver's tools and containers have it
    by_bus: Sequence[str] = ()  # ids in the order of their PCI buses, as CUDA can number them

    @classmethod
    def without(cls, hidden: Collection[str]) -> VisibleGpus:
        """Asks the driver if there is something to hide."""
        if not hidden:
            return cls()
        ids = {name.removeprefix("gpu"): one for name, one in gpus.ids().items()}
        return cls({*hidden} & {*ids.values()}, ids, gpus.by_bus())

    def environment(self, inherited: Mapping[str, str]) -> Mapping[str, str]:
        return visible(self.by_bus, self.hidden, inherited) if self.hidden else {}

    def of(self, container: Container) -> Container:
        if not self.hidden or not self.ids or not container.gpus:
            return container
        hidden = [number for number, one in self.ids.items() if one in self.hidden]
        return replace(container, gpus=of_container(container.gpus, [*self.ids], hidden))
