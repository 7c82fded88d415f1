"""Admission: nothing over the limits, nobody thrown out without need, always a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llamactl.control.scheduling.limits import no_room
from llamactl.core.memory import Need
from llamactl.policy.scheduling.admission import (
    Admit,
    Decision,
    Evict,
    Refuse,
    Wait,
    next_out,
    schedule,
)
from llamactl.policy.scheduling.capacity import Limits
from llamactl.policy.scheduling.claims import Candidate, Occupant, OccupantState
from llamactl.policy.scheduling.node_memory import RAM
from llamactl.policy.scheduling.placement import Feasible

sizes = st.integers(0, 3)
needs = st.builds(
    Need,
    ram=sizes,
    shared=st.dictionaries(st.sampled_from(["m", "n"]), st.integers(1, 3), max_size=2),
    gpus=st.dictionaries(st.sampled_from(["gpu0", "gpu1"]), sizes, max_size=2),
)
times = st.integers(0, 4).map(float)
occupants = st.lists(
    st.builds(
        Occupant,
        id=st.text("abcdef", min_size=1, max_size=2),
        name=st.text("ab", min_size=1, max_size=2),
        standing=st.sampled_from(OccupantState),
        group=st.sampled_from(["", "g", "h"]),
        need=needs,
        priority=st.integers(0, 1),
        pinned=st.sampled_from([False, False, True]),
        ready_at=times,
        last_used=times,
        load_s=times,
        need_asleep=st.one_of(st.none(), needs),
        falls_asleep=st.booleans(),
    ),
    unique_by=lambda o: o.id,
    max_size=6,
)
candidates = st.builds(
    Candidate,
    id=st.text("xyz", min_size=3, max_size=5),
    name=st.just("new"),
    group=st.sampled_from(["", "g"]),
    need=needs,
    may_evict=st.booleans(),
    takes_turns=st.booleans(),
    not_before=st.sampled_from([0.0, 0.0, 3.0]),
)
limits = st.builds(
    Limits,
    running=st.one_of(st.none(), st.integers(0, 5)),
    groups=st.dictionaries(st.sampled_from(["g", "h"]), st.integers(0, 3)),
    ram=st.one_of(st.none(), st.integers(0, 12)),
    gpus=st.dictionaries(st.sampled_from(["gpu0", "gpu1"]), st.integers(0, 6)),
    min_residency=times,
)


def in_ram(everyone: Sequence[Occupant | Candidate]) -> int:
    files: dict[str, int] = {}
    for one in everyone:
        for file, size in one.need.shared.items():
            files[file] = max(size, files.get(file, 0))
    return sum(one.need.ram for one in everyone) + sum(files.values())


def fits(new: Candidate, others: list[Occupant], limit: Limits) -> bool:
    """The test's own view of the limits: is there room for one more?"""
    everyone: list[Occupant | Candidate] = [*others, new]
    running = [one for one in everyone if one.runs]
    if limit.running is not None and len(running) > limit.running:
        return False
    if new.group and sum(o.group == new.group for o in running) > limit.groups.get(new.group, 99):
        return False
    ram, before = in_ram(everyone), in_ram(others)
    if ram > before and limit.ram is not None and ram > limit.ram:
        return False
    return all(
        not size or sum(o.need.gpus.get(d, 0) for o in everyone) <= limit.gpus.get(d, 99)
        for d, size in new.need.gpus.items()
    )


def may_go(one: Occupant, new: Candidate, limit: Limits, now: float) -> bool:
    if one.pinned or one.standing in (OccupantState.STARTING, OccupantState.LEAVING):
        return False
    if one.standing is OccupantState.ASLEEP:
        return True
    turn_over = now >= one.ready_at + max(limit.min_residency, one.load_s)
    idle = one.standing is OccupantState.IDLE
    if not new.takes_turns:
        return idle
    back = now >= max(one.last_used, one.ready_at) + one.load_s / 4
    return turn_over or (idle and back)


def asleep(one: Occupant) -> Occupant:
    """As it is when it was asked to sleep."""
    assert one.need_asleep is not None
    return replace(one, standing=OccupantState.ASLEEP, need=one.need_asleep)


def after_all_left(others: Sequence[Occupant]) -> list[Occupant]:
    """Those that fall asleep keep memory."""
    leaving = [o for o in others if o.standing is OccupantState.LEAVING]
    dozing = [asleep(o) for o in leaving if o.falls_asleep and o.need_asleep is not None]
    return [*(o for o in others if o not in leaving), *dozing]


def admit(new: Candidate, others: Sequence[Occupant], limit: Limits, now: float) -> Decision:
    """The decision for one that waits alone."""
    return schedule((new,), others, limit, now)[0]


@given(others=occupants, limit=limits, new=candidates, now=times, data=st.data())
def test_admit(
    others: list[Occupant], limit: Limits, new: Candidate, now: float, data: st.DataObject
) -> None:
    decision = admit(new, others, limit, now)
    by_id = {o.id: o for o in others}
    staying = after_all_left(others)

    shuffled = data.draw(st.permutations(others))
    again = admit(new, shuffled, limit, now)
    assert type(decision) is type(again) and decision.reason
    match decision:
        case Admit():
            assert fits(new, others, limit) and now >= new.not_before
        case Evict(victims=victims, to_sleep=to_sleep):
            gone = [by_id[v] for v in victims]
            kept = [asleep(by_id[v]) for v in to_sleep]
            assert {*to_sleep} <= {*victims}
            assert all(by_id[v].standing is not OccupantState.ASLEEP for v in to_sleep)
            left = [o for o in staying if o not in gone]
            assert new.may_evict and victims and not fits(new, staying, limit)
            assert all(may_go(v, new, limit, now) for v in gone)
            assert fits(new, [*left, *kept], limit)
            assert not any(fits(new, [*left, v], limit) for v in gone), "a victim was not needed"
            could = [
                asleep(v) for v in gone
                if v.id not in to_sleep and v.need_asleep is not None
                and v.standing is not OccupantState.ASLEEP
            ]  # fmt: skip
            assert not any(fits(new, [*left, *kept, v], limit) for v in could), "one need not stop"
        case Wait(until=until, comes_free=comes_free):
            fixed = [o for o in staying if o.pinned]
            assert now < new.not_before or not fits(new, others, limit)
            assert until is None or until > now
            if now >= new.not_before and not fits(new, staying, limit):
                assert new.may_evict and fits(new, fixed, limit)
            assert comes_free == (now >= new.not_before and fits(new, staying, limit))
            if now >= new.not_before and not comes_free:
                movable = [o for o in staying if o in others and may_go(o, new, limit, now)]
                rest = [o for o in staying if o not in movable]
                assert not fits(new, rest, limit), "it waits though some could go"
        case Refuse(for_ever=for_ever):
            assert not fits(new, others, limit) and not fits(new, staying, limit)
            fixed = [o for o in staying if o.pinned]
            assert for_ever or not new.may_evict or not fits(new, fixed, limit)
            assert not for_ever or not fits(new, [], limit)


@given(others=occupants, limit=limits, now=times, data=st.data())
def test_a_wait_ends_at_its_time(
    others: list[Occupant], limit: Limits, now: float, data: st.DataObject
) -> None:
    """Whoever waits until a time can get on then, if nothing else has changed."""
    new = data.draw(candidates)
    decision = admit(new, others, limit, now)
    while isinstance(decision, Wait) and decision.until is not None:
        assert decision.until > now
        now = decision.until
        decision = admit(new, others, limit, now)

    moving = any(o.standing in (OccupantState.STARTING, OccupantState.LEAVING) for o in others)
    if new.takes_turns and not moving:
        assert not isinstance(decision, Wait)


@given(others=occupants, limit=limits, now=times, data=st.data())
def test_schedule_gives_no_place_twice(
    others: list[Occupant], limit: Limits, now: float, data: st.DataObject
) -> None:
    queue = data.draw(st.lists(candidates, unique_by=lambda c: c.id, max_size=4))

    decisions = schedule(queue, others, limit, now)

    inside = list(others)
    victims: list[str] = []
    for new, decision in zip(queue, decisions, strict=True):
        if isinstance(decision, Admit):
            assert fits(new, inside, limit)
            inside.append(Occupant(new.id, new.name, OccupantState.STARTING, new.group, new.need))
        elif isinstance(decision, Evict):
            victims += decision.victims
    assert len(victims) == len(set(victims)), "one victim makes one place"


WORTH = (Admit, "it comes free", Evict, Wait, Refuse)


def rank(decision: Decision) -> int:
    free = isinstance(decision, Wait) and decision.comes_free
    return 1 if free else WORTH.index(type(decision))


@given(
    others=occupants, limit=limits, new=candidates, now=times,
    there=st.lists(needs, min_size=2, max_size=3), ran=st.integers(0, 2),
    pack=st.booleans(),
)  # fmt: skip
def test_of_several_nodes_the_best_decision_counts(
    others: list[Occupant], limit: Limits, new: Candidate, now: float, there: list[Need], ran: int,
    *, pack: bool,
) -> None:  # fmt: skip
    """It is what would be decided if that node was the only one."""
    limit = replace(limit, strategy="pack" if pack else "spread")
    feasible = tuple(
        Feasible(f"n{number}", need, ran_there=number == ran) for number, need in enumerate(there)
    )
    decision = admit(replace(new, feasible=feasible), others, limit, now)
    apart = {one.node: admit(new.at(one), others, limit, now) for one in feasible}

    assert rank(decision) == min(map(rank, apart.values()))
    if isinstance(decision, Admit | Evict):
        assert decision.node in apart
        chosen = apart[decision.node]
        assert type(chosen) is type(decision)
        if isinstance(decision, Evict) and isinstance(chosen, Evict):
            assert (decision.victims, decision.to_sleep) == (chosen.victims, chosen.to_sleep)
    if isinstance(decision, Refuse):
        assert decision.for_ever == all(
            isinstance(one, Refuse) and one.for_ever for one in apart.values()
        )
    admitting = [o.node for o in feasible if isinstance(apart[o.node], Admit)]
    if isinstance(decision, Admit) and f"n{ran}" in admitting:
        back = next(one for one in feasible if one.node == f"n{ran}")
        taken = next(one for one in feasible if one.node == decision.node)
        assert taken is back or (taken.uses_gpu and not back.uses_gpu)


def test_nobody_overtakes_where_an_earlier_one_waits_for_the_place() -> None:
    busy = Occupant("a", "a", OccupantState.BUSY, ready_at=0.0)
    limit = Limits(running=1, min_residency=100.0)
    queue = [Candidate(i, i, may_evict=True, takes_turns=True) for i in "xyz"]

    decisions = schedule(queue, [busy], limit, 1.0)

    assert [type(d) for d in decisions] == [Wait] * 3
    assert isinstance(decisions[0], Wait) and decisions[0].until == 100.0


def test_a_busy_one_leaves_after_its_turn_and_not_before() -> None:
    busy = Occupant("a", "a", OccupantState.BUSY, ready_at=10.0, load_s=2.0)
    new = Candidate("x", "x", may_evict=True, takes_turns=True)
    limit = Limits(running=1, min_residency=5.0)

    assert admit(new, [busy], limit, 14.9) == Wait(
        "1 instance may run at once and 1 does; the others are in use", 15.0
    )
    assert isinstance(admit(new, [busy], limit, 15.0), Evict)


def test_an_idle_one_is_kept_for_a_quarter_of_its_load_time() -> None:
    idle = Occupant("a", "a", OccupantState.IDLE, ready_at=0.0, last_used=20.0, load_s=12.0)
    new = Candidate("x", "x", may_evict=True, takes_turns=True)

    assert isinstance(admit(new, [idle], Limits(1, min_residency=60.0), 22.9), Wait)
    assert isinstance(admit(new, [idle], Limits(1, min_residency=60.0), 23.0), Evict)


@pytest.mark.parametrize("gpu", [False, True])
def test_what_never_fits_is_refused_with_the_numbers(*, gpu: bool) -> None:
    need = Need(gpus={"gpu0": 9 << 30}) if gpu else Need(ram=9 << 30)
    limit = Limits(ram=8 << 30, gpus={"gpu0": 8 << 30})

    decision = admit(Candidate("x", "x", need=need, may_evict=True), [], limit, 0.0)

    assert isinstance(decision, Refuse) and decision.for_ever
    assert "9.00 GiB more needed, 0 MiB of 8.00 GiB in use" in decision.reason


GIB = 1 << 30


@pytest.mark.parametrize(
    ("limit", "need", "held", "for_memory"),
    [
        (Limits(5, ram=4 * GIB), Need(ram=3 * GIB), Need(ram=2 * GIB), True),
        (Limits(5, gpus={"gpu0": 4 * GIB}), Need(gpus={"gpu0": 9 * GIB}), Need(), True),
        (Limits(1, ram=4 * GIB), Need(ram=GIB), Need(ram=GIB), False),
        (Limits(1, ram=4 * GIB), Need(ram=3 * GIB), Need(ram=2 * GIB), False),
    ],
)
def test_a_refusal_tells_whether_memory_is_what_is_lacking(
    limit: Limits, need: Need, held: Need, *, for_memory: bool
) -> None:
    held_by = Occupant("a", "a", OccupantState.IDLE, need=held)

    decision = admit(Candidate("x", "x", need=need), [held_by], limit, 0.0)

    assert isinstance(decision, Refuse) and decision.for_memory is for_memory
    assert no_room(decision).code == (
        "insufficient_memory" if for_memory else "max_running_instances_reached"
    )


def test_a_refusal_counts_what_runs_apart_from_what_waits() -> None:
    limit = Limits(2, {"g": 1}, ram=4 * GIB)
    runs = Occupant("a", "a", OccupantState.BUSY, group="g", need=Need(ram=GIB), pinned=True)
    first = Candidate("b", "b", group="g", need=Need(ram=2 * GIB), may_evict=True)
    busy = Occupant("c", "c", OccupantState.BUSY, need=Need(ram=GIB), ready_at=0.0)
    waiting = Candidate("d", "d", need=Need(ram=2 * GIB), may_evict=True)
    by_hand = Candidate("e", "e", need=Need(ram=2 * GIB))

    _, refused = schedule([waiting, by_hand], [runs, busy], limit, 0.0)

    assert isinstance(refused, Refuse)
    assert refused.reason == (
        "2 instances may run at once and 2 do, with 1 waiting before it; RAM: 2.00 GiB more "
        "needed, 2.00 GiB of 4.00 GiB in use, 2.00 GiB reserved for waiting instances"
    )
    assert "runs 1;" in admit(first, [runs], limit, 0.0).reason


def test_instances_of_one_file_count_it_once() -> None:
    one = Need(ram=1 << 30, shared={"file": 6 << 30})
    first = Occupant("a", "a", OccupantState.BUSY, need=one)
    second = Candidate("b", "b", need=one)

    assert isinstance(admit(second, [first], Limits(ram=8 << 30), 0.0), Admit)
    assert isinstance(admit(second, [first], Limits(ram=7 << 30), 0.0), Refuse)


def waits(standing: OccupantState, name: str, **more: object) -> Occupant:
    return Occupant(name, name, standing, **more)  # type: ignore[arg-type]


GREEDY = Candidate("x", "x", may_evict=True, takes_turns=True)


def test_idle_ones_go_before_busy_ones_and_the_least_used_first() -> None:
    others = [
        waits(OccupantState.BUSY, "busy", last_used=1.0),
        waits(OccupantState.IDLE, "late", last_used=3.0),
        waits(OccupantState.IDLE, "early", last_used=2.0),
        waits(OccupantState.IDLE, "dear", last_used=1.0, priority=1),
    ]

    for room, gone in ((4, ("early",)), (3, ("early", "late")), (2, ("early", "late", "dear"))):
        assert admit(GREEDY, others, Limits(room), 9.0) == Evict(
            gone, f"{room} instances may run at once and 4 do; x needs a place"
        )
    assert admit(GREEDY, others, Limits(1), 9.0) == Evict(
        ("early", "late", "dear", "busy"), "1 instance may run at once and 4 do; x needs a place"
    )


def test_one_that_is_not_free_yet_is_passed_over() -> None:
    others = [
        waits(OccupantState.IDLE, "fresh", last_used=8.0, ready_at=8.0, load_s=40.0),
        waits(OccupantState.BUSY, "long", ready_at=0.0, load_s=1.0),
    ]

    decision = admit(GREEDY, others, Limits(2, min_residency=60.0), 9.0)
    assert decision == Wait("2 instances may run at once and 2 do; the others are in use", 18.0)
    assert isinstance(admit(GREEDY, others, Limits(2, min_residency=5.0), 9.0), Evict)


def test_a_victim_that_turns_out_needless_stays() -> None:
    """The small ones were used longest ago, but only the large one makes the room."""
    others = [
        waits(OccupantState.IDLE, name, need=Need(ram=size), last_used=when)
        for name, size, when in (("s1", 1, 1.0), ("s2", 1, 2.0), ("s3", 1, 3.0), ("large", 7, 4.0))
    ]
    new = Candidate("x", "x", need=Need(ram=7), may_evict=True)

    assert isinstance(decision := admit(new, others, Limits(ram=10), 9.0), Evict)
    assert decision.victims == ("large",)


def test_by_hand_a_busy_one_never_goes_and_an_idle_one_at_once() -> None:
    by_hand = Candidate("x", "x", may_evict=True)
    idle = waits(OccupantState.IDLE, "a", last_used=9.0, ready_at=9.0, load_s=99.0)
    busy = waits(OccupantState.BUSY, "a")

    assert admit(by_hand, [idle], Limits(1, min_residency=99.0), 9.0) == Evict(
        ("a",), "1 instance may run at once and 1 does; x needs a place"
    )
    assert admit(by_hand, [busy], Limits(1), 9.0) == Wait(
        "1 instance may run at once and 1 does; the others are in use", None
    )


def test_nobody_counts_on_what_another_that_waits_would_share() -> None:
    busy = Occupant("a", "a", OccupantState.BUSY, need=Need(ram=3))
    queue = [
        Candidate("x", "x", need=Need(shared={"file": 2}), may_evict=True, takes_turns=True),
        Candidate("y", "y", need=Need(shared={"file": 1}), may_evict=True, takes_turns=True),
    ]

    decisions = schedule(queue, [busy], Limits(ram=3, min_residency=9.0), 1.0)

    assert [type(decision) for decision in decisions] == [Wait, Wait]


def test_a_large_victim_makes_room_for_the_next_as_well() -> None:
    large = waits(OccupantState.IDLE, "large", need=Need(ram=7, gpus={"gpu0": 7}))
    both = Need(ram=3, gpus={"gpu0": 3})
    queue = [Candidate(i, i, need=both, may_evict=True, takes_turns=True) for i in "xyz"]

    for limit in (Limits(ram=8), Limits(gpus={"gpu0": 8})):
        first, second, third = schedule(queue, [large], limit, 9.0)
        assert isinstance(first, Evict) and first.victims == ("large",)
        assert isinstance(second, Wait) and "large will stop and make room" in second.reason
        assert isinstance(third, Wait) and not third.comes_free


def test_refusals_say_all_that_is_in_the_way() -> None:
    pinned = Occupant("a", "a", OccupantState.BUSY, "g", pinned=True)
    new = Candidate("x", "x", "g", may_evict=True)
    limit = Limits(1, {"g": 1})

    both = "1 instance may run at once and 1 does; group 'g' may run 1 at once and runs 1"
    assert admit(new, [pinned], limit, 0.0) == Refuse(f"{both}; the others are pinned")
    assert admit(new, [], Limits(0, {"g": 0}), 0.0) == Refuse(
        "0 instances may run at once and 0 do; group 'g' may run 0 at once and runs 0",
        for_ever=True,
    )
    idle = Occupant("b", "b", OccupantState.IDLE)
    queue = [Candidate("x", "x", may_evict=True), Candidate("y", "y", may_evict=True)]
    decisions = schedule(queue, [idle, pinned], Limits(2), 0.0)
    assert decisions[1].reason.endswith("the others are in use")


def test_what_is_leaving_makes_room_once() -> None:
    leaving = [waits(OccupantState.LEAVING, name) for name in "ab"]
    idle = waits(OccupantState.IDLE, "c")
    queue = [Candidate(i, i, may_evict=True, takes_turns=True) for i in "wxyz"]

    decisions = schedule(queue, [*leaving, idle], Limits(3), 9.0)

    reason = "3 instances may run at once and 3 do; a, b will stop and make room"
    assert decisions[0] == Wait(reason, None, comes_free=True)
    assert isinstance(decisions[1], Wait) and decisions[1].comes_free
    assert isinstance(decisions[2], Evict) and decisions[2].victims == ("c",)
    assert isinstance(decisions[3], Wait) and not decisions[3].comes_free


def test_a_back_off_is_waited_for_and_takes_no_place() -> None:
    queue = [Candidate("x", "x", not_before=12.0), Candidate("y", "y")]

    decisions = schedule(queue, [], Limits(1), 9.0)

    assert decisions == [Wait("it is still backing off", 12.0), Admit()]


def test_who_was_admitted_counts_beside_those_that_stay() -> None:
    leaving = waits(OccupantState.LEAVING, "a")
    queue = [Candidate(i, i) for i in "xyz"]

    first, second, third = schedule(queue, [leaving], Limits(2), 9.0)

    assert isinstance(first, Admit)
    assert isinstance(second, Wait) and second.comes_free
    assert isinstance(third, Refuse)


@given(occupants=occupants)
def test_who_leaves_first_holds_memory_there_and_is_the_least_worthy(
    occupants: list[Occupant],
) -> None:
    stuck = (OccupantState.STARTING, OccupantState.LEAVING)
    movable = [one for one in occupants if not one.pinned and one.standing not in stuck]
    holders = {device: [o for o in movable if holds(o, device)] for device in ("gpu0", "gpu1", RAM)}

    found = next_out(occupants)
    assert found.keys() == {device for device, those in holders.items() if those}
    for device, chosen in found.items():
        [first] = [one for one in holders[device] if one.id == chosen]
        idle = [one for one in holders[device] if one.standing is not OccupantState.BUSY]
        assert first in (idle or holders[device])
        assert (first.priority, first.last_used) == min(
            (one.priority, one.last_used) for one in idle or holders[device]
        )


def holds(one: Occupant, device: str) -> bool:
    in_ram = bool(one.need.ram or one.need.shared)
    return in_ram if device == RAM else bool(one.need.gpus.get(device))
