"""What is taken, however it came to be so, is what those who hold it add up to."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import given

from llamactl.core.memory import Need
from llamactl.policy.scheduling.capacity import Limits, Taken, memory_left

MIB = 1 << 20


@dataclass(frozen=True)
class One:
    group: str
    need: Need
    runs: bool = True


sizes = st.integers(0, 2)
ones = st.builds(
    One,
    group=st.sampled_from(["", "g", "h"]),
    need=st.builds(
        Need,
        ram=sizes,
        shared=st.dictionaries(st.sampled_from("mn"), sizes, max_size=2),
        gpus=st.dictionaries(st.sampled_from(["gpu0", "gpu1"]), sizes, max_size=2),
    ),
)
few = st.integers(0, 4)
limits = st.one_of(
    st.builds(Limits, running=few),
    st.builds(Limits, groups=st.fixed_dictionaries({"g": few, "h": few})),
    st.builds(Limits, ram=st.integers(0, 8)),
    st.builds(Limits, gpus=st.fixed_dictionaries({"gpu0": few, "gpu1": few})),
)


def total_ram(held: list[One]) -> int:
    files: dict[str, int] = {}
    for one in held:
        for file, size in one.need.shared.items():
            files[file] = max(size, files.get(file, 0))
    return sum(one.need.ram for one in held) + sum(files.values())


def gpu(held: list[One], name: str) -> int:
    return sum(one.need.gpus.get(name, 0) for one in held)


def room(new: One, held: list[One], limit: Limits) -> bool:
    """The test's own view."""
    everyone = [*held, new]
    in_group = sum(one.group == new.group for one in everyone)
    more = total_ram(everyone) > total_ram(held)
    return (
        (limit.running is None or len(everyone) <= limit.running)
        and (new.group not in limit.groups or in_group <= limit.groups[new.group])
        and (limit.ram is None or not more or total_ram(everyone) <= limit.ram)
        and all(
            not new.need.gpus.get(name) or gpu(everyone, name) <= most
            for name, most in limit.gpus.items()
        )
    )


@given(
    first=st.lists(ones, max_size=3), more=st.lists(ones, max_size=3), new=ones, limit=limits,
    data=st.data(),
)  # fmt: skip
def test_what_is_taken_is_what_those_who_hold_it_add_up_to(
    first: list[One], more: list[One], new: One, limit: Limits, data: st.DataObject
) -> None:
    taken, held = Taken(limit, first), list(first)
    for one in more:
        taken.put(one)
        held.append(one)
    for _ in range(data.draw(st.integers(0, len(held)))):
        one = held.pop(data.draw(st.integers(0, len(held) - 1)))
        taken.take(one)

    assert bool(taken.lacks(new)) == (not room(new, held, limit))


ALL = Limits(9, {"g": 9, "h": 9}, ram=99, gpus={"gpu0": 99, "gpu1": 99})


@given(first=st.lists(ones, max_size=3), more=st.lists(ones, max_size=3), data=st.data())
def test_every_count_is_right_after_each_change(
    first: list[One], more: list[One], data: st.DataObject
) -> None:
    taken, held = Taken(ALL, first), list(first)

    def check() -> None:
        assert (taken.running, taken.ram) == (len(held), total_ram(held))
        groups = {group: sum(one.group == group for one in held) for group in ("g", "h")}
        assert {group: taken.groups.get(group, 0) for group in groups} == groups
        gpus = {name: gpu(held, name) for name in ("gpu0", "gpu1")}
        assert {name: taken.gpus.get(name, 0) for name in gpus} == gpus

    check()
    for one in more:
        taken.put(one)
        held.append(one)
        check()
    while held:
        one = held.pop(data.draw(st.integers(0, len(held) - 1)))
        taken.take(one)
        check()


@given(held=st.lists(ones, max_size=4), ram=st.integers(0, 12), most=few)
def test_what_is_left(held: list[One], ram: int, most: int) -> None:
    left = memory_left(iter(held), Limits(ram=ram, gpus={"gpu0": most}))

    assert left.ram == max(0, ram - total_ram(held))
    assert left.gpus == {"gpu0": max(0, most - gpu(held, "gpu0"))}
    assert memory_left(held, Limits()) == Need(0)


def test_reasons_name_what_is_lacking_with_its_numbers() -> None:
    big = One("g", Need(ram=3 << 29, gpus={"gpu0": 100 * MIB}))
    limit = Limits(1, {"g": 1}, ram=1 << 30, gpus={"gpu0": 150 * MIB})

    assert Taken(limit, [big]).lacks(big) == [
        "1 instance may run at once and 1 does",
        "group 'g' may run 1 at once and runs 1",
        "RAM: 1.50 GiB more needed, 1.50 GiB of 1.00 GiB in use",
        "gpu0: 100 MiB more needed, 100 MiB of 150 MiB in use",
    ]
