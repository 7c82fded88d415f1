"""All numbers in Prometheus's text form: ours, and those of running engines, relabelled.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from llamactl.observe.engine_numbers import Said, common
from llamactl.observe.meters import ContextMeter, Histogram, Meter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Shown:
    """One instance as the numbers show it."""

    name: str
    state: str
    in_flight: int
    meter: Meter
    contexts: ContextMeter
    facts: Mapping[str, str]  # labels to group its numbers by


def exposition(
    instances: Sequence[Shown],
    unrouted: Meter,
    gauges: Mapping[str, float],
    engines: Iterable[Metric],
) -> bytes:
    """`gauges`: of the server. `engines`: from `relabelled`."""
    registry = CollectorRegistry()
    registry.register(_Once([*_ours(instances, unrouted, gauges), *engines]))
    registry.register(PROCESS_COLLECTOR)
    return generate_latest(registry)


def relabelled(
    texts: Mapping[str, Mapping[str, str]], names: Mapping[str, Mapping[str, str]]
) -> list[Metric]:
    """Engines' own expositions by instance name, and by model where one has several.

    Labels `instance` and `model` are put on every sample. What is not an exposition is left out: an
    engine's fault must not hide the others' numbers. `names`: by instance, what engines have in
    common by the names of its own.
    """
    merged: dict[str, Metric] = {}
    said: list[Said] = []
    for name, model, text in [(n, m, text) for n, own in texts.items() for m, text in own.items()]:
        try:
            families = list(text_string_to_metric_families(text))
        except ValueError:
            continue
        said.append((name, model, families))
        added = {"instance": name} | ({"model": model} if model else {})
        for family in families:
            metric = Metric(family.name, family.documentation, family.type)
            metric = merged.setdefault(family.name, metric)
            for sample in family.samples:
                metric.add_sample(sample.name, {**sample.labels, **added}, sample.value)
    return [*merged.values(), *common(said, names)]


class _Once(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _ours(
    instances: Sequence[Shown], unrouted: Meter, gauges: Mapping[str, float]
) -> Iterator[Metric]:
    for name, value in gauges.items():
        yield GaugeMetricFamily(f"llamactl_{name}", name.replace("_", " "), value)
    state = GaugeMetricFamily(
        "llamactl_instance_state", "1 for the current state", labels=["instance", "state"]
    )
    leases = GaugeMetricFamily(
        "llamactl_leases_in_flight",
        "requests that hold a lease on the instance",
        labels=["instance"],
    )
    facts = InfoMetricFamily("llamactl_instance", "machine and model of each instance")
    for shown in instances:
        facts.add_metric([], {"instance": shown.name, **shown.facts})
        state.add_metric([shown.name, shown.state], 1)
        leases.add_metric([shown.name], shown.in_flight)
    yield from (facts, state, leases)
    yield from _counters([*((s.name, s.meter) for s in instances), ("", unrouted)])
    yield from _contexts(instances)
    yield from _histograms(instances)


def _counters(meters: Sequence[tuple[str, Meter]]) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "llamactl_answers", "responses of engines, by status", labels=["instance", "status"]
    )
    refused = CounterMetricFamily(
        "llamactl_refusals",
        "requests that llamactl refused with its own error",
        labels=["instance", "code"],
    )
    for name, meter in meters:
        for status, count in sorted(meter.statuses.items()):
            answers.add_metric([name, str(status)], count)
        for code, count in sorted(meter.refused.items()):
            refused.add_metric([name, code], count)
    yield from (answers, refused)
    for field, said in (
        ("broken_off", "responses that were cut off"),
        ("abandoned", "requests whose client disconnected early"),
        ("prompt_tokens", "as the engine reports them"),
        ("cached_tokens", "prompt tokens that the engine had already, as it reports them"),
        ("generated_tokens", "as the engine reports them"),
    ):
        family = CounterMetricFamily(f"llamactl_{field}", said, labels=["instance"])
        for name, meter in meters:
            family.add_metric([name], getattr(meter, field))
        yield family
    size = CounterMetricFamily(
        "llamactl_body_bytes", "bytes of bodies", labels=["instance", "direction"]
    )
    for name, meter in meters:
        size.add_metric([name, "received"], meter.received)
        size.add_metric([name, "sent"], meter.sent)
    yield size


def _contexts(instances: Sequence[Shown]) -> Iterator[Metric]:
    for field, said in (
        ("saved", "contexts saved when their engine stopped"),
        ("not_saved", "contexts that could not be saved"),
        ("restored", "contexts given to the next engine"),
        ("refused", "contexts that were not given to the next engine, or that it refused"),
        ("used", "restored contexts that the next request used"),
        ("not_used", "restored contexts that the engine computed again"),
        ("tokens_saved", "tokens in saved contexts"),
        ("tokens_restored", "tokens in restored contexts"),
        ("tokens_used", "restored tokens that the next requests did not compute again"),
        ("seconds_spared", "time that computing them would have taken"),
        ("save_seconds", "seconds spent on saving contexts"),
        ("restore_seconds", "seconds spent on restoring contexts"),
    ):
        family = CounterMetricFamily(f"llamactl_contexts_{field}", said, labels=["instance"])
        for shown in instances:
            family.add_metric([shown.name], getattr(shown.contexts, field))
        yield family


def _histograms(instances: Sequence[Shown]) -> Iterator[Metric]:
    for field, said in (
        ("queue", "seconds that requests waited for their instance"),
        ("first_byte", "seconds from a request's head to the first content of its response"),
        ("duration", "seconds from a request's head to the end of its response"),
    ):
        family = HistogramMetricFamily(f"llamactl_{field}_seconds", said, labels=["instance"])
        for shown in instances:
            histogram: Histogram = getattr(shown.meter, field)
            family.add_metric([shown.name], histogram.buckets(), histogram.total)
        yield family
