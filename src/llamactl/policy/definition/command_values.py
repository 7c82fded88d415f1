"""The values of a pasted command line, as their options take them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from llamactl.core.instance import Scalar
from llamactl.policy.definition.engine_help import EngineOption

TRUTHS = ("on", "off", "true", "false")
_TRUTHS_TOO = (*TRUTHS, "1", "0", "-1", "yes", "no", "enabled", "disabled", "auto")
_FRACTION = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)\Z")
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d{1,3}\Z")
_WHOLE = re.compile(r"[-+]?\d+\Z")
_WORD = re.compile(r"'([A-Za-z][\w-]*)'")  # that an option takes beside numbers


def read_value(text: str, option: EngineOption | None) -> Scalar:
    kind = option.kind if option else None
    if kind == "switch" and text.lower() in TRUTHS:
        return text.lower() in ("on", "true")
    if kind in ("integer", "number") and re.fullmatch(r"[-+]?\d{1,18}", text):
        return int(text)
    if kind == "number" and (_FRACTION.match(text) or _EXPONENT.match(text)):
        return float(text) if math.isfinite(float(text)) else text
    if kind is None and re.fullmatch(r"0|-?[1-9]\d{0,17}", text):  # and no mask such as 0011
        return int(text)
    if kind in (None, "integer", "number") and re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text):
        return float(text)
    return text


def mismatch(value: Scalar, option: EngineOption | None, *, own_choices: bool) -> str:
    """Why an option can't take such a value; "" if it can, or its help is not known.

    `own_choices`: the program is another build, which may have more of them.
    """
    if option is None or not option.help or not isinstance(value, str):
        return ""
    if option.kind == "switch":
        return "" if value.lower() in _TRUTHS_TOO else "it takes on or off"
    if option.kind in ("integer", "number"):
        words = [*dict.fromkeys(_WORD.findall(f"{option.help} '{option.default}'"))]
        return "" if _WHOLE.match(value) or value in words else f"it takes {_or('a number', words)}"
    if option.kind != "choice" or own_choices or value in option.choices:
        return ""
    if "on" in option.choices and value.lower() in _TRUTHS_TOO:
        return ""
    if _WHOLE.match(value) and any(map(_WHOLE.match, option.choices)):
        return ""
    return f"choose one of {', '.join(option.choices)}"


def _or(first: str, others: Sequence[str]) -> str:
    *before, last = [first, *others]
    return f"{', '.join(before)} or {last}" if before else last
