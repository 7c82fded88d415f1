"""How fast instances answer: only what runs, and only answers that say something."""

from __future__ import annotations

from typing import Any

from llamactl.cli.commands.watching.top import Seen
from llamactl.observe import Meters, Rates
from llamactl.schemas.instances import InstanceBody
from llamactl.schemas.live import InstanceNumbers, LiveBody, RateBody

NOTHING = LiveBody(whole=False, instances=[], gone=[], numbers={}, machine=[], events=[], jobs=None)


def row(pid: int | None) -> InstanceBody:
    fields: dict[str, Any] = {"id": "a", "pid": pid, "leases": 0, "waiting": 0}
    return InstanceBody.model_construct(**fields, idle_left_s=None)


def answered(meters: Meters, seconds: float | None, tokens: int = 10) -> None:
    meter = meters.of("a")
    if seconds is not None:
        meter.first_byte.add(seconds)
    meter.duration.add(2.0)
    meter.generated_tokens += tokens


def test_the_time_to_the_first_token_is_the_mean_of_those_that_had_one() -> None:
    meters, rates = Meters(), Rates()
    rates.sample(meters, {"a": True}, 1.0)
    answered(meters, 0.5)
    answered(meters, None, 0)

    rates.sample(meters, {"a": True}, 2.0)

    assert [(r.first_byte_s, r.tokens_s) for r in rates.of("a")] == [(0.5, 2.5)]


def test_answers_without_content_make_no_rate() -> None:
    meters, rates = Meters(), Rates()
    rates.sample(meters, {"a": True}, 1.0)
    answered(meters, None, 0)

    rates.sample(meters, {"a": True}, 2.0)

    assert rates.of("a") == []


def test_what_stopped_has_no_speed_and_gets_one_when_it_answers_again() -> None:
    meters, rates = Meters(), Rates()
    rates.sample(meters, {"a": True}, 1.0)
    answered(meters, 0.5)
    rates.sample(meters, {"a": True}, 2.0)
    rates.sample(meters, {"a": False}, 3.0)
    assert rates.of("a") == []
    answered(meters, 0.25)

    rates.sample(meters, {"a": True}, 4.0)

    assert [r.first_byte_s for r in rates.of("a")] == [0.25]


def test_top_shows_no_speed_of_what_stopped() -> None:
    rate = RateBody(at=1.0, tokens_s=9.0, first_byte_s=0.1)
    numbers = InstanceNumbers(leases=0, waiting=0, idle_left_s=None, rates=[rate])
    up, down = (row(pid) for pid in (7, None))
    seen = Seen()
    for body, told, shown in ((up, {"a": numbers}, 9.0), (down, {}, 0.0), (up, {}, 0.0)):
        seen.add(NOTHING.model_copy(update={"instances": [body], "numbers": told}))
        assert seen.numbers(body)[2] == shown
