"""An engine of this node, asked until a moment. Blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass

from llamactl.core.events import ProcessRecord
from llamactl.node.engine.scrape import ask, text_at
from llamactl.node.process.ports import LOOPBACK

_QUICK_S = 2.0


@dataclass(frozen=True, slots=True)
class EngineClient:
    record: ProcessRecord
    key: str
    until: float  # monotonic seconds

    def get(self, path: str) -> str:
        """What is there at once; "" for nothing or an error."""
        return self._get(path, min(_QUICK_S, self._left))

    def get_slowly(self, path: str) -> str:
        """The same, however long it takes."""
        return self._get(path, self._left)

    def _get(self, path: str, seconds: float) -> str:
        return text_at(self._address, self.key, path, seconds=max(0.05, seconds))

    def post(self, path: str, body: bytes) -> tuple[int, str]:
        """Status and text. Raises OSError if there is no answer in time."""
        if self._left <= 0:
            raise TimeoutError("no time is left")
        return ask(self._address, self.key, "POST", path, body, seconds=self._left)

    @property
    def _left(self) -> float:
        return self.until - time.monotonic()

    @property
    def _address(self) -> tuple[str, int]:
        return LOOPBACK, self.record.port
