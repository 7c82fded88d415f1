"""What requests show of engines, in whichever process they are: each hears what the others saw."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.link.shared_news import Blamed, Cleared, Unanswered
from llamactl.proxy import LeaseBook
from llamactl.proxy.relay.accounts.casualties import Casualties

Sighting = Unanswered | Blamed | Cleared


class Sightings:
    """Engines that give no answer, and requests that may kill them."""

    def __init__(
        self, leases: LeaseBook, casualties: Casualties, report: Callable[[Sighting], None]
    ) -> None:
        """`report` what this process sees."""
        self._leases = leases
        self._casualties = casualties
        self._report = report
        leases.on_silence = self._silent
        casualties.on_blame, casualties.on_clear = self._blamed, self._cleared

    def __repr__(self) -> str:
        return f"<Sightings, {self._casualties}>"

    def learn(self, seen: Sighting) -> None:
        """By another process."""
        match seen:
            case Unanswered():
                self._leases.know_unanswered(seen.instance, seen.count)
            case Blamed():
                process = seen.instance, seen.generation
                self._casualties.blame(bytes.fromhex(seen.request), process)
            case Cleared():
                self._casualties.suspects.clear(bytes.fromhex(seen.request))

    def _silent(self, instance_id: str) -> None:
        count = self._leases.consecutive_timeouts(instance_id)
        self._report(Unanswered(instance=instance_id, count=count))

    def _blamed(self, request: bytes, process: tuple[str, int]) -> None:
        instance_id, generation = process
        seen = Blamed(request=request.hex(), instance=instance_id, generation=generation)
        self._report(seen)

    def _cleared(self, request: bytes) -> None:
        self._report(Cleared(request=request.hex()))
