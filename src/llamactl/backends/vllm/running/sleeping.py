"""vLLM's sleep mode: its weights wait in RAM, and its GPU memory is free.

https://docs.vllm.ai/en/latest/features/sleep_mode/. Its paths are there in its development mode
only. Without the flag, `/sleep` answers 200 and does nothing, so its answer counts for nothing:
`vllm:engine_sleep_state` says how it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from llamactl.backends.contexts import Post
from llamactl.backends.contract import Get, Start
from llamactl.backends.shared.truths import truth_of
from llamactl.backends.sleep import SleepMode

_AWAKE = re.compile(
    r'^vllm:engine_sleep_state\{[^}]*sleep_state="awake"[^}]*\} ([\d.e+-]+)$', re.MULTILINE
)
_OK = 200


class VllmSleep(SleepMode):
    flag = "--enable-sleep-mode"
    by_itself = False
    environment: ClassVar[Mapping[str, str]] = {"VLLM_SERVER_DEV_MODE": "1"}

    def excluded(self, start: Start) -> str:
        if truth_of(start.options.get("enable_sleep_mode", True)) is False:
            return "enable_sleep_mode is off; remove it"
        return ""

    def words(self, idle_s: float) -> Sequence[str]:
        return [self.flag]

    def is_asleep(self, get: Get) -> bool | None:
        """All of its engines, if it has several."""
        found = [float(value) for value in _AWAKE.findall(get("/metrics"))]
        return not any(found) if found else None

    def fall_asleep(self, post: Post) -> None:
        _ask(post, "/sleep?level=1")

    def wake(self, get: Get, post: Post) -> None:
        _ask(post, "/wake_up")


def _ask(post: Post, path: str) -> None:
    status, text = post(path, b"")
    if status != _OK:
        raise OSError(f"{path.partition('?')[0]} answered {status}: {text[:200]}")


SLEEP = VllmSleep()
