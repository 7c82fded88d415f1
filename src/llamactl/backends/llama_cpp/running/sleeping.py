"""llama-server unloads its model after a time without requests, and loads it for the next one.

README, "Sleeping on Idle": `/health`, `/props` and `/models` neither wake it nor keep it awake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llamactl.backends.contexts import Post
from llamactl.backends.contract import Get, Start
from llamactl.backends.llama_cpp.running.contexts import serves_several
from llamactl.backends.shared.answers import object_of
from llamactl.backends.sleep import IDLE_SECONDS, SleepMode


class LlamaCppSleep(SleepMode):
    flag = "--sleep-idle-seconds"
    by_itself = True

    def excluded(self, start: Start) -> str:
        if "sleep_idle_seconds" in start.options:
            return "sleep_idle_seconds is set, so it sleeps by your clock; remove it"
        return serves_several(start)

    def words(self, idle_s: float) -> Sequence[str]:
        return [self.flag, str(max(IDLE_SECONDS, math.ceil(idle_s)))]

    def is_on(self, command: Sequence[str]) -> bool:
        """With -1, which people may set, it never sleeps."""
        if self.flag not in command:
            return False
        after = command.index(self.flag) + 1
        return "-1" not in command[after : after + 1]

    def is_asleep(self, get: Get) -> bool | None:
        said = object_of(get("/props")).get("is_sleeping")
        return said if isinstance(said, bool) else None

    def fall_asleep(self, post: Post) -> None:
        """It does so by itself."""

    def wake(self, get: Get, post: Post) -> None:
        get("/slots")  # it loads its model before it answers


SLEEP = LlamaCppSleep()
