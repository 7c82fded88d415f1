"""Requests that an engine dropped: was it their doing, and may they be sent once more?

All that one process dropped are looked into together, once the cause of its end is known; which
request each is takes a turn (`Turns`), as their bodies may be many and large.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from llamactl.core.errors import LlamactlError, PoisonousRequest, UpstreamDied
from llamactl.core.exits import Aftermath, ServedRequest
from llamactl.core.ports.activator import Activator
from llamactl.core.routes import ReadyInstance
from llamactl.policy.body.poison import Suspects
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.turns import Turns

MOST_NAMED = 16  # requests of one crash
_REMEMBERED = 64  # crashes, for what is heard of them late


@dataclass(frozen=True, slots=True)
class Dropped:
    """A request as its engine had it. `parts`: all of it; None if it is no longer here."""

    request: ServedRequest
    parts: Sequence[bytes] | None
    instance_id: str = ""  # that was asked for; "": whose process it was


class _Death:
    """What one process dropped, and what became of it."""

    def __init__(self) -> None:
        self.dropped: list[Dropped] = []
        self.unjudged: list[Dropped] = []
        self.known: Aftermath | None = None
        self.aftermath: asyncio.Task[Aftermath] | None = None


class Casualties:
    """`suspects` is empty as long as nothing crashes."""

    def __init__(self, activator: Activator, turns: Turns, now: Callable[[], float]) -> None:
        self._activator = activator
        self._turns = turns
        self._now = now
        self._deaths: dict[tuple[str, int], _Death] = {}  # by instance id and generation
        self.suspects = Suspects()
        # called with the hash of a request, and the instance and generation that it is blamed for
        self.on_blame: Callable[[bytes, tuple[str, int]], None] | None = None
        self.on_clear: Callable[[bytes], None] | None = None

    def __repr__(self) -> str:
        return f"<Casualties {self.suspects}>"

    def add(
        self, instance_id: str, name: str, generation: int, dropped: Dropped | None
    ) -> asyncio.Task[Aftermath]:
        """A request lost its engine, or never reached it (None).

        The task returns the result. It is not to be cancelled: others wait for it too.
        """
        key = instance_id, generation
        death = self._deaths.get(key)
        if death is None:
            death = self._deaths[key] = _Death()
        if dropped is not None:
            if death.known is None and len(death.dropped) < MOST_NAMED:
                death.dropped.append(dropped)
            if dropped.parts is not None:
                death.unjudged.append(dropped)
        task = death.aftermath
        if task is None or (task.done() and death.unjudged):  # or the news is late
            task = death.aftermath = asyncio.create_task(self._look_into(key, name, death))
        return task

    def left(self, instance_id: str, ready: ReadyInstance, dropped: Dropped) -> None:
        """The same of a request whose client has left."""
        self.add(instance_id, ready.name, ready.generation, dropped)

    def of(self, instance_id: str, generation: int) -> list[ServedRequest]:
        """Those that this process has dropped just now."""
        death = self._deaths.get((instance_id, generation))
        return [dropped.request for dropped in death.dropped] if death else []

    async def _look_into(self, key: tuple[str, int], name: str, death: _Death) -> Aftermath:
        aftermath = death.known or Aftermath(wanted=False)
        if death.known is None:
            with suppress(LlamactlError):  # the instance was deleted, or llamactl ends
                aftermath = await self._activator.aftermath(name, key[1])
        death.known = aftermath
        death.dropped.clear()
        if not aftermath.crashed:  # it may live, and drop others later
            self._deaths.pop(key, None)
            death.unjudged.clear()
        while len(self._deaths) > _REMEMBERED:
            del self._deaths[next(iter(self._deaths))]
        while death.unjudged:
            await self._turns.turn()
            self._blame(key, death.unjudged.pop())
        return aftermath

    def _blame(self, key: tuple[str, int], dropped: Dropped) -> None:
        if dropped.parts is not None:
            request = print_of(dropped.instance_id or key[0], dropped.parts)
            self.blame(request, key)
            if self.on_blame is not None:
                self.on_blame(request, key)

    def blame(self, request: bytes, key: tuple[str, int]) -> None:
        """It was being served when this process crashed; another process may have seen that."""
        self.suspects.blame(request, key, self._now())

    def clear(self, request: bytes) -> None:
        """It was answered, and its engine lives."""
        self.suspects.clear(request)
        if self.on_clear is not None:
            self.on_clear(request)

    def check(self, instance_id: str, parts: Iterable[bytes]) -> bytes:
        """The hash of a request that is suspect, or b"". Raises PoisonousRequest."""
        known = print_of(instance_id, parts)
        now = self._now()
        if not self.suspects.is_suspect(known, now):
            return b""
        if (left := self.suspects.refused_for(known, now)) > 0:
            error = PoisonousRequest(
                "the engine crashed twice while serving this request, which is therefore "
                f"refused for {left:.0f} s: change it, or try another model"
            )
            error.retry_after = left
            raise error
        return known


def served(request: Request) -> ServedRequest:
    key = request.caller.key
    return ServedRequest(request.name, key.id if key else "", key.name if key else "")


def why_not(aftermath: Aftermath, name: str, *, sent: bool, again: bool) -> UpstreamDied | None:
    """Why a request is not sent once more, if so. `sent`: the engine may have read it."""
    if aftermath.crashed and sent:
        return UpstreamDied(
            f"the engine of {name} crashed while serving this request, so it was not retried; if "
            "the request causes crashes, change it"
        )
    if not again:
        return UpstreamDied(f"the engine of {name} died before it responded")
    return None if aftermath.wanted else UpstreamDied(f"{name} was stopped before it responded")


def print_of(instance_id: str, parts: Iterable[bytes]) -> bytes:
    """Names a request to an instance: its first line and its body, to the byte."""
    found = hashlib.blake2b(instance_id.encode(), digest_size=16)
    for part in parts:
        found.update(part)
    return found.digest()
