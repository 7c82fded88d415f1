"""A call that may never return is waited for no longer than is said, and not made twice."""

from __future__ import annotations

from threading import Event

from llamactl.control.blocking_call import BlockingCall
from support.waits import WITHIN_S


async def test_what_returns_in_time_is_the_result() -> None:
    numbers = iter(range(10))
    call = BlockingCall(lambda: next(numbers))
    assert [await call.result(WITHIN_S) for _ in range(3)] == [0, 1, 2]


async def test_a_call_that_hangs_is_not_made_again_until_it_returned() -> None:
    begun, goes_on, calls = Event(), Event(), list[int]()

    def hang() -> str:
        calls.append(1)
        begun.set()
        assert goes_on.wait(WITHIN_S), "the test never let the call return"
        return "late"

    call = BlockingCall(hang)
    assert await call.result(0.0) is None
    assert await call.result(0.0) is None, "the first one has not returned"
    assert begun.wait(WITHIN_S) and calls == [1]
    goes_on.set()
    assert call._running is not None
    assert await call._running == "late"
    assert await call.result(WITHIN_S) == "late"
    assert calls == [1, 1]
