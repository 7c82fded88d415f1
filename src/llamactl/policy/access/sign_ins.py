"""Wrong sign-ins: how long each waits for its answer, and when no more are heard. Pure.

Who shows a right key is never held up from this machine, however many others guess.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from llamactl.policy.scheduling.shares import origin

FIRST_S, LONGEST_S = 0.02, 5.0  # the answer to the first wrong one, and to any
LONGEST_LOCAL_S = 0.3  # who guesses here shares the address with everybody who does not
FORGOTTEN_S = 900.0  # after so long without a wrong one
MOST_ADDRESSES = 1024  # remembered
MOST_WAITING, MOST_WAITING_OF_ONE = 64, 4  # answers that are held back
_SHARED = 20  # wrong ones of all addresses together count as one of each


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    last: float = 0.0  # monotonic seconds
    waiting: int = 0

    def add(self, now: float) -> None:
        self.wrong = 1 if now - self.last > FORGOTTEN_S else self.wrong + 1
        self.last = now


class WrongSignIns:
    """By address, and of all."""

    def __init__(self) -> None:
        self._all = _Tries()
        self._by_address: OrderedDict[str, _Tries] = OrderedDict()  # the latest last

    def __repr__(self) -> str:
        return f"<WrongSignIns {len(self._by_address)} addresses, {self._all.waiting} waiting>"

    def hears(self, address: str) -> bool:
        """May an answer of this address wait? Who has guessed before is not heard where not."""
        tries = self._by_address.get(origin(address))
        if tries is None:
            return True
        return tries.waiting < MOST_WAITING_OF_ONE and self._all.waiting < MOST_WAITING

    def add(self, address: str, now: float) -> float:
        """One more that is wrong; how many seconds its answer waits, until `answered`."""
        caller = origin(address)
        tries = self._by_address.setdefault(caller, _Tries())
        self._by_address.move_to_end(caller)
        for each in (tries, self._all):
            each.add(now)
            each.waiting += 1
        self._forget()
        longest = LONGEST_LOCAL_S if is_local(address) else LONGEST_S
        wrong = max(tries.wrong, self._all.wrong // _SHARED)
        return min(FIRST_S * 2.0 ** min(wrong - 1, 16), longest)

    def answered(self, address: str) -> None:
        self._all.waiting -= 1
        if (tries := self._by_address.get(origin(address))) is not None:
            tries.waiting = max(0, tries.waiting - 1)

    def _forget(self) -> None:
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)


def is_local(address: str) -> bool:
    """From this machine: by loopback, or by a Unix socket, which has none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return not address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
