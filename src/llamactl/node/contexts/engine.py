"""An engine that runs, as it is asked about its contexts. Blocks."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from llamactl.backends.contexts import ContextSlots, Slot, sort_of
from llamactl.core.events import ProcessRecord
from llamactl.core.instance import InstanceOptions
from llamactl.node.contexts import fingerprint
from llamactl.node.engine_client import EngineClient

_TICKS = os.sysconf("SC_CLK_TCK")  # of a process's start, a second


@dataclass(frozen=True, slots=True)
class Engine(EngineClient):
    contexts: ContextSlots
    options: InstanceOptions  # with the files of its model

    def slots(self) -> Mapping[int, Slot]:
        return {slot.id: slot for slot in self.contexts.slots(self.get)}

    @property
    def sort(self) -> str:
        """Of its definition, as that is written."""
        given = self.record.options
        return sort_of(self.contexts, given.backend_options, given.command_override)

    def fits(self) -> Mapping[str, str]:
        """What its contexts fit only with. Raises FileChanged or OSError."""
        options, contexts = self.options.backend_options, self.contexts
        return {
            **fingerprint.of_files(contexts.files(options), _began(self.record)),
            **contexts.depends_on(options),
            "engine": fingerprint.of_program(self.record.command),
            "build": contexts.build(self.get),
        }


def _began(record: ProcessRecord) -> float:
    """Unix seconds."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + record.start_time / _TICKS
