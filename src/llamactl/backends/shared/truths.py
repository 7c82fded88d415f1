"""What people write for a switch."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.core.instance import OptionValue

_TRUTHS: Mapping[str, bool] = {
    "on": True, "true": True, "1": True, "yes": True,
    "off": False, "false": False, "0": False, "no": False,
}  # fmt: skip


def truth_of(value: OptionValue | None) -> bool | None:
    """None where it is none."""
    return _TRUTHS.get(str(value).lower()) if isinstance(value, str | int | float) else None
