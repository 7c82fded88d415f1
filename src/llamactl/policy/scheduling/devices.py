"""GPUs by the numbers that CUDA gives them. Pure.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_NONE = "-1"  # an engine may take an empty list for none given


def numbers_in(text: str, ids: Sequence[str]) -> list[int]:
    """Which devices a list names, by number or by the beginning of an id.

    As CUDA does, those behind a name that means none do not count.
    """
    found = list[int]()
    for word in map(str.strip, text.split(",")):
        number = _number(word, ids)
        if number is None or number in found:
            break
        found.append(number)
    return found


def _number(word: str, ids: Sequence[str]) -> int | None:
    if word.isascii() and word.isdigit():
        return int(word) if len(word) < len(str(len(ids))) + 1 and int(word) < len(ids) else None
    meant = [at for at, one in enumerate(ids) if word and one.startswith(word)]
    return meant[0] if len(meant) == 1 else None


def visible(
    ids: Sequence[str], hidden: Collection[str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Variables by which an engine sees the others only.

    `ids`: in the order of their PCI buses. `inherited`: what it would see besides.
    """
    seen = [*range(len(ids))]
    if VISIBLE in inherited:
        seen = numbers_in(inherited[VISIBLE], ids)
    left = [str(number) for number in seen if ids[number] not in hidden]
    return {_ORDER: "PCI_BUS_ID", VISIBLE: ",".join(left) or _NONE}


def of_container(given: str, names: Sequence[str], hidden: Collection[str]) -> str:
    """A container's `gpus` without those: `all`, or how many it may use.

    `names`: of those that there are, as the container engine calls them.
    """
    left = [name for name in names if name not in hidden]
    if given.isdigit():
        left = left[: int(given)]
    return f"device={','.join(left)}" if left else ""
