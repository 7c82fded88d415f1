"""Who holds a place, from its grant until the process has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.lifecycle import GOING, WITHOUT_PROCESS, AfterExit, State
from llamactl.core.ports.activator import Leases
from llamactl.policy.scheduling.claims import Occupant, OccupantState


class Places:
    """Owned by the scheduler, the only one to grant them."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.holding: dict[str, ManagedInstance] = {}  # by instance id
        # how many have their place and did not say `started` yet, by instance id: until then it
        # is held whatever the state, for their command is on its way
        self._granted: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Places {len(self.holding)} held>"

    def holds(self, managed: ManagedInstance) -> bool:
        runs = managed.replica.runner.now.state not in WITHOUT_PROCESS
        return runs or self._is_granted(managed)

    def needs_one(self, managed: ManagedInstance) -> bool:
        """To start: what sleeps holds memory, and no place among those that run."""
        return not self.holds(managed) or (_sleeps(managed) and not self._is_granted(managed))

    def _is_granted(self, managed: ManagedInstance) -> bool:
        return self._granted[managed.instance.id] > 0

    def grant(self, managed: ManagedInstance, count: int) -> None:
        """`count`: how many wait for it."""
        self._granted[managed.instance.id] += count
        self.holding[managed.instance.id] = managed

    def started(self, managed: ManagedInstance) -> None:
        """One of them needs the grant no longer."""
        self._granted[managed.instance.id] -= 1
        if self._granted[managed.instance.id] <= 0:
            del self._granted[managed.instance.id]
        self.moved(managed)

    def moved(self, managed: ManagedInstance) -> None:
        """Its state changed."""
        if self.holds(managed):
            self.holding[managed.instance.id] = managed
        else:
            self.holding.pop(managed.instance.id, None)

    def forget(self, managed: ManagedInstance) -> None:
        """It was deleted, and none of its processes is running."""
        self._leases.forget(managed.instance.id)
        self._granted.pop(managed.instance.id, None)
        self.moved(managed)

    def occupants(self, leaving: Container[ManagedInstance]) -> list[Occupant]:
        """As admission sees them. `leaving`: they were asked to, and did not hear it yet."""
        return [self._occupant(m, is_asked_to_leave=m in leaving) for m in self.holding.values()]

    def _occupant(self, managed: ManagedInstance, *, is_asked_to_leave: bool) -> Occupant:
        instance = managed.instance
        wakes = _sleeps(managed) and self._is_granted(managed)
        standing = self._standing(managed, is_asked_to_leave=is_asked_to_leave)
        return Occupant(
            instance.id,
            instance.name,
            OccupantState.STARTING if wakes else standing,
            group=instance.options.group,
            need=managed.taken_awake if wakes else managed.taken,
            need_asleep=managed.need_asleep,
            priority=instance.options.priority,
            pinned=instance.options.pinned,
            ready_at=managed.entered_at,
            last_used=self._leases.last_used(instance.id),
            load_s=managed.load_s,
            node=managed.replica.context.node.id,
            falls_asleep=managed.replica.runner.now.state is State.FALLING_ASLEEP,
        )

    def _standing(self, managed: ManagedInstance, *, is_asked_to_leave: bool) -> OccupantState:
        now = managed.replica.runner.now
        goes = now.state in GOING and now.after_exit is AfterExit.STAY_STOPPED
        if is_asked_to_leave or goes or now.state is State.FALLING_ASLEEP:
            return OccupantState.LEAVING
        if now.state is State.ASLEEP:
            return OccupantState.ASLEEP
        if now.state is not State.READY:
            return OccupantState.STARTING
        return OccupantState.BUSY if self._leases.count(managed.instance.id) else OccupantState.IDLE


def _sleeps(managed: ManagedInstance) -> bool:
    """Also when it is about to stop, which a start would call off."""
    now = managed.replica.runner.now
    return now.state is State.ASLEEP or (now.state is State.DRAINING and now.sleeps)
