"""What engines count alike, whatever each calls it: one family for all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

_NAME = re.compile(r"[{\s]")  # what follows it
_MOST_PARTS = 64  # of an engine, such as those of vLLM
# Instance, model ("" for the only one), and what the engine said.
Said = tuple[str, str, Sequence[Metric]]


@dataclass(frozen=True, slots=True)
class Common:
    kind: Literal["gauge", "counter", "histogram"]
    about: str
    together: Callable[[Iterable[float]], float] = sum  # of an engine's parts, which each count


COMMON: Mapping[str, Common] = {
    "requests_running": Common("gauge", "requests that the engine works on"),
    "requests_waiting": Common("gauge", "requests that wait in the engine"),
    "kv_cache_usage": Common("gauge", "share of the KV cache in use, from 0 to 1", max),
    "prompt_tokens": Common("counter", "prompt tokens that the engine has processed"),
    "generated_tokens": Common("counter", "tokens that the engine has generated"),
    "first_token_seconds": Common("histogram", "seconds from a request to its first token"),
}


def total(text: str, names: Mapping[str, str], common_name: str) -> float | None:
    """What an engine's exposition says of one thing in `COMMON`; None if it doesn't say it.

    `names`: as of `common`, of this engine.
    """
    own = {name for name, what in names.items() if what == common_name}
    lines = [line for line in text.splitlines() if _NAME.split(line, maxsplit=1)[0] in own]
    try:
        families = list(text_string_to_metric_families("\n".join(lines[:_MOST_PARTS]) + "\n"))
    except (ValueError, IndexError):  # both are what the parser raises
        return None
    values = [sample.value for family in families for sample in family.samples]
    if not values or not all(0 <= value < math.inf for value in values):
        return None
    return COMMON[common_name].together(values)


def common(said: Iterable[Said], names: Mapping[str, Mapping[str, str]]) -> list[Metric]:
    """`names`: by instance, what is in `COMMON` by the name that its engine has for it."""
    found: dict[str, Metric] = {}
    for instance, model, families in said:
        labels = {"instance": instance} | ({"model": model} if model else {})
        for family in families:
            name = names.get(instance, {}).get(family.name)
            if name is not None and family.type == COMMON[name].kind:
                what = COMMON[name]
                full = f"llamactl_engine_{name}"
                metric = found.setdefault(full, Metric(full, what.about, what.kind))
                _add(metric, family, labels, what)
    return [*found.values()]


def _add(metric: Metric, family: Metric, labels: Mapping[str, str], what: Common) -> None:
    values: dict[tuple[str, str], list[float]] = {}  # by what follows the name, and the bucket
    for sample in family.samples:
        part = sample.name.removeprefix(family.name)
        if part != "_created":
            values.setdefault((part, sample.labels.get("le", "")), []).append(sample.value)
    for (part, bucket), numbers in values.items():
        own = {**labels, **({"le": bucket} if bucket else {})}
        metric.add_sample(metric.name + part, own, what.together(numbers))
