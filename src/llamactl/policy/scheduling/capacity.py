"""What there is, what of it is taken, and what is lacking for one more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from llamactl.core.memory import Need

Strategy = Literal["spread", "pack"]


@dataclass(frozen=True, slots=True)
class Limits:
    running: int | None = None  # None: no limit
    groups: Mapping[str, int] = field(default_factory=dict)
    ram: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    min_residency: float = 0.0  # seconds for which a busy one is kept
    strategy: Strategy = "spread"  # of several nodes with room


class Taker(Protocol):
    """Takes a place, or wants one."""

    @property
    def group(self) -> str: ...

    @property
    def need(self) -> Need: ...

    @property
    def runs(self) -> bool:
        """Does it count among those that run?"""
        ...


class Taken:
    """How much of each limited thing is taken. Cheap to change, so that victims can be tried.

    What has no limit is not counted at first, which is most of what makes a decision quick.
    """

    def __init__(self, limits: Limits, occupants: Sequence[Taker] = ()) -> None:
        self._limits = limits
        self.running = sum(one.runs for one in occupants)
        self.ram = 0
        self.groups: dict[str, int] = {}
        self.gpus: dict[str, int] = {}
        self._files: dict[str, list[int]] = {}  # sizes that are held; they share the largest
        if limits.groups:
            for one in occupants:
                self.groups[one.group] = self.groups.get(one.group, 0) + one.runs
        if limits.ram is not None:
            for one in occupants:
                need = one.need
                self.ram += need.ram
                for file, size in need.shared.items():
                    self._files.setdefault(file, []).append(size)
            self.ram += sum(map(max, self._files.values()))
        if limits.gpus:
            for one in occupants:
                for device, size in one.need.gpus.items():
                    self.gpus[device] = self.gpus.get(device, 0) + size

    def copy(self) -> Taken:
        other = Taken(self._limits)
        other.running, other.ram = self.running, self.ram
        other.groups, other.gpus = dict(self.groups), dict(self.gpus)
        other._files = {file: list(sizes) for file, sizes in self._files.items()}
        return other

    def put(self, one: Taker) -> None:
        self.running += one.runs
        self.groups[one.group] = self.groups.get(one.group, 0) + one.runs
        self.ram += one.need.ram
        for file, size in one.need.shared.items():
            self.ram += self._more(file, size)
            self._files.setdefault(file, []).append(size)
        for device, size in one.need.gpus.items():
            self.gpus[device] = self.gpus.get(device, 0) + size

    def take(self, one: Taker) -> None:
        self.running -= one.runs
        self.groups[one.group] = self.groups.get(one.group, 0) - one.runs
        self.ram -= one.need.ram
        for file, size in one.need.shared.items():
            if size in (held := self._files.get(file, [])):
                held.remove(size)
                self.ram -= self._more(file, size)
        for device, size in one.need.gpus.items():
            self.gpus[device] = self.gpus.get(device, 0) - size

    def _more(self, file: str, size: int) -> int:
        """What one that maps so much of the file adds to what others do."""
        return max(0, size - max(self._files.get(file) or (0,)))

    def lacks(self, one: Taker, running: Taken | None = None) -> list[str]:
        """Why there is no room; empty if there is.

        `running`: what is taken by those that run, where this counts those that wait, too.
        """
        return [*self.lacks_place(one, running), *self._lacks_memory(one, running or self)]

    def lacks_place(self, one: Taker, running: Taken | None = None) -> list[str]:
        """The same, whatever memory there is."""
        limits, reasons, run = self._limits, [], running or self
        if limits.running is not None and self.running + 1 > limits.running:
            several = "instance" if limits.running == 1 else "instances"
            do = "does" if run.running == 1 else "do"
            first = _first(self.running - run.running)
            reasons.append(
                f"{limits.running} {several} may run at once and {run.running} {do}{first}"
            )
        most = limits.groups.get(one.group) if one.group else None
        if most is not None and (count := self.groups.get(one.group, 0)) + 1 > most:
            now = run.groups.get(one.group, 0)
            first = _first(count - now)
            reasons.append(f"group {one.group!r} may run {most} at once and runs {now}{first}")
        return reasons

    def _lacks_memory(self, one: Taker, run: Taken) -> list[str]:
        limits, need = self._limits, one.need
        more = need.ram + sum(self._more(f, s) for f, s in need.shared.items())
        reasons = _over("RAM", limits.ram, self.ram, more, run.ram)
        for device, size in need.gpus.items():
            used, now = self.gpus.get(device, 0), run.gpus.get(device, 0)
            reasons += _over(device, limits.gpus.get(device), used, size, now)
        return reasons


def _first(waiting: int) -> str:
    return f", with {waiting} waiting before it" if waiting > 0 else ""


def _over(what: str, most: int | None, used: int, more: int, running: int) -> list[str]:
    """`running`: what those that run take of what is used; others wait for the rest."""
    if most is None or more == 0 or used + more <= most:
        return []
    said = f"{what}: {_gib(more)} more needed, {_gib(running)} of {_gib(most)} in use"
    waiting = used - running
    return [said if waiting <= 0 else f"{said}, {_gib(waiting)} reserved for waiting instances"]


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**29 else f"{size / 2**20:.0f} MiB"


def memory_left(occupants: Iterable[Taker], limits: Limits) -> Need:
    """What nobody takes of the budgets; 0 where there is none."""
    usage = Taken(limits, tuple(occupants))
    ram = 0 if limits.ram is None else max(0, limits.ram - usage.ram)
    gpus = {name: max(0, most - usage.gpus.get(name, 0)) for name, most in limits.gpus.items()}
    return Need(ram, gpus=gpus)
