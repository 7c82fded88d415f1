"""An engine that runs, as it is asked about its contexts. Blocks."""

from __future__ import annotations

import http
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from llamactl.backends.contexts import ContextSlots, Slot, sort_of
from llamactl.core.events import ProcessRecord
from llamactl.core.instance import InstanceOptions
from llamactl.node.contexts import fingerprint
from llamactl.node.engine.scrape import ask
from llamactl.node.process.ports import LOOPBACK

_QUICK_S = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")  # of a process's start, a second


@dataclass(frozen=True, slots=True)
class Engine:
    contexts: ContextSlots
    record: ProcessRecord
    key: str
    options: InstanceOptions  # with the files of its model
    until: float  # monotonic seconds

    def get(self, path: str) -> str:
        seconds = max(0.05, min(_QUICK_S, self.until - time.monotonic()))
        try:
            status, text = ask(self._address, self.key, "GET", path, seconds=seconds)
        except OSError:
            return ""
        return text if status == http.HTTPStatus.OK else ""

    def post(self, path: str, body: bytes) -> tuple[int, str]:
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no time is left")
        return ask(self._address, self.key, "POST", path, body, seconds=seconds)

    @property
    def _address(self) -> tuple[str, int]:
        return LOOPBACK, self.record.port

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
