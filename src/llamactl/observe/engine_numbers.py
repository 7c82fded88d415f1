"""What engines count alike, whatever each calls it: one family for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client.metrics_core import Metric

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
