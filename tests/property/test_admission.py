"""Admission: nothing over the limits, nobody thrown out without need, always a reason."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from llamactl.policy.admission import Admit, Evict, Limits, Occupant, Refuse, Wait, admit

occupants = st.lists(
    st.builds(
        Occupant,
        id=st.text("abcdef", min_size=1, max_size=2),
        name=st.text("ab", min_size=1, max_size=2),
        group=st.sampled_from(["", "g", "h"]),
        last_used=st.integers(0, 2).map(float),
        busy=st.booleans(),
        pinned=st.sampled_from([False, False, True]),
        leaving=st.sampled_from([False, False, True]),
    ),
    unique_by=lambda o: o.id,
    max_size=6,
)
limits = st.builds(
    Limits,
    running=st.one_of(st.none(), st.integers(0, 5)),
    groups=st.dictionaries(st.sampled_from(["g", "h"]), st.integers(0, 3)),
)


def fits(group: str, others: list[Occupant], limit: Limits) -> bool:
    """The test's own view of the limits: is there room for one more?"""
    in_group = limit.groups.get(group) if group else None
    mine = sum(1 for o in others if o.group == group)
    return (limit.running is None or len(others) < limit.running) and (
        in_group is None or mine < in_group
    )


@given(
    others=occupants,
    limit=limits,
    group=st.sampled_from(["", "g"]),
    may_evict=st.booleans(),
    data=st.data(),
)
def test_admit(
    others: list[Occupant], limit: Limits, group: str, may_evict: bool, data: st.DataObject
) -> None:
    decision = admit("new", group, others, limit, may_evict=may_evict)
    by_id = {o.id: o for o in others}

    shuffled = data.draw(st.permutations(others))
    assert decision == admit("new", group, shuffled, limit, may_evict=may_evict)
    match decision:
        case Admit():
            assert fits(group, others, limit)
        case Evict(victims=victims, reason=reason):
            gone = [by_id[v] for v in victims]
            left = [o for o in others if o not in gone and not o.leaving]
            assert may_evict and reason
            assert victims and not any(v.busy or v.pinned or v.leaving for v in gone)
            assert fits(group, left, limit)
            assert not any(fits(group, [*left, v], limit) for v in gone), "a victim was not needed"
        case Wait(reason=reason):
            assert reason and not fits(group, others, limit)
            assert fits(group, [o for o in others if o.pinned and not o.leaving], limit)
        case Refuse(reason=reason):
            assert reason and not fits(group, others, limit)
