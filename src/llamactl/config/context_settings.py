"""The settings of instances that are about what their slots hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize

from llamactl.backends.declared import live
from llamactl.backends.settings import Section
from llamactl.core.bounded_yaml import no_truth


class ContextSettings(Section):
    default_keep_context: Annotated[Literal["auto", "off"], BeforeValidator(no_truth)] = live(
        "auto", "keep what an engine's slots hold when it stops, where it can: auto, or off"
    )
    context_min_tokens: int = live(256, "fewer tokens in a slot are not kept", "tokens", ge=1)
    context_save_timeout: float = live(
        10, "time for an instance to save its contexts, and to restore them", "seconds", gt=0
    )
    context_checkpoint_interval: float = live(
        0, "time between saves of an instance that is idle; 0: only when it stops", "seconds", ge=0
    )
    context_disk_budget: Literal["auto"] | ByteSize = live(
        "auto", "disk for kept contexts; `auto`: a tenth of what is free, at most 20 GiB", "bytes"
    )
    context_share: float = live(
        0.5, "share of that budget that one instance may have", "fraction", gt=0, le=1
    )
    context_max_age: float = live(
        30, "time after which a context that was not used is removed", "days", gt=0
    )
