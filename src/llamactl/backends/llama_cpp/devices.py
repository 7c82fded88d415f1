"""Which GPUs llama.cpp's options name.

As common/arg.cpp and src/llama.cpp of https://github.com/ggml-org/llama.cpp read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llamactl.core.instance import OptionValue

_CUDA = re.compile(r"\bCUDA(\d{1,3})\b")
_LISTS = ("device", "device_draft", "spec_draft_device")
_TENSORS = ("override_tensor", "override_tensor_draft", "spec_draft_override_tensor")


def own_devices(given: Mapping[str, OptionValue], count: int) -> Sequence[int] | None:
    """By their numbers, of so many; None: it takes all that it sees."""
    named = {
        int(number)
        for option in (*_LISTS, *_TENSORS)
        for number in _CUDA.findall(_text(given.get(option, "")))
    }
    if _text(given.get("device", "")):  # `none`, or all of the main model's
        return sorted(named)
    main, shares = given.get("main_gpu"), _shares(given.get("tensor_split"))
    if given.get("split_mode") == "none" and main is not None:
        return sorted(named | {_number(main)})
    if shares:
        return sorted(named | {at for at, share in enumerate(shares) if share})
    # all, of which one is named: without the others it would be another one
    return range(count) if named or main is not None else None


def _text(value: OptionValue) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    return ",".join(map(str, value))


def _shares(value: OptionValue | None) -> list[float]:
    """Nothing where it can't be read: then the engine refuses it."""
    words = _text(value).replace("/", ",").split(",") if value is not None else []
    try:
        return [float(word) for word in words]
    except ValueError:
        return []


def _number(value: OptionValue) -> int:
    try:
        return int(_text(value))
    except ValueError:
        return 0
