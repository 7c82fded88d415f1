"""What a proxy process counts, on its way to the numbers of the process that decides."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.link.proxy_news import HistogramCounts, MeterCounts
from llamactl.observe import HISTOGRAMS, NUMBERS, Meter, Meters

_UNROUTED = ""


def take(meters: Meters) -> dict[str, MeterCounts]:
    """All that was counted; from now on they count from zero."""
    taken = meters.take()
    if (unrouted := meters.unrouted).refused or unrouted.abandoned:
        meters.unrouted, taken[_UNROUTED] = Meter(), unrouted
    return {instance_id: _told(meter) for instance_id, meter in taken.items()}


def merge(meters: Meters, told: Mapping[str, MeterCounts]) -> None:
    for instance_id, counts in told.items():
        _add(meters.unrouted if instance_id == _UNROUTED else meters.of(instance_id), counts)


def _told(meter: Meter) -> MeterCounts:
    return MeterCounts(
        statuses=meter.statuses,
        refused=meter.refused,
        numbers={name: getattr(meter, name) for name in NUMBERS},
        histograms={name: _histogram(meter, name) for name in HISTOGRAMS},
    )


def _histogram(meter: Meter, name: str) -> HistogramCounts:
    found = getattr(meter, name)
    return HistogramCounts(counts=found.counts(), total=found.total)


def _add(meter: Meter, counts: MeterCounts) -> None:
    for status, count in counts.statuses.items():
        meter.statuses[status] += count
    for code, count in counts.refused.items():
        meter.refused[code] += count
    for name in NUMBERS:
        setattr(meter, name, getattr(meter, name) + counts.numbers.get(name, 0))
    for name in HISTOGRAMS:
        if (told := counts.histograms.get(name)) is not None:
            getattr(meter, name).merge(told.counts, told.total)
