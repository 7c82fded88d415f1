"""/api/v1/live: all live data in one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Query

from llamactl.api.bodies import instance_body
from llamactl.api.errors import answers
from llamactl.api.event_stream import ALIVE, ALIVE_S, EventStream, event_stream
from llamactl.api.routers.events import event_body, event_id
from llamactl.api.routers.models import job_body
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.downloads import DownloadJob
from llamactl.core.events import InstanceEvent
from llamactl.schemas.live import InstanceNumbers, LiveBody, MachineNumbers, RateBody
from llamactl.schemas.models import JobBody

router = APIRouter(prefix="/api/v1/live", dependencies=GUARDS, tags=["live"])
_EVERY_S = 0.25
MOST_NEWS = 2000  # events that a client may lag; then the stream ends, and resumes from its last ID
# by how much a time left may differ from the last value sent, minus the elapsed time
_DRIFT_S = 1.5


@router.get("", response_class=EventStream, responses={200: {"model": LiveBody}, **answers()})
async def live(
    services: ServicesDep,
    last_event_id: Annotated[
        str | None, Header(description="send only events after this ID")
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=1 << 62, description="same as `Last-Event-ID`")
    ] = None,
) -> EventStream:
    """Stream instances, metrics, events and downloads: first everything, then the changes.

    The stream ends when its key or session ends.
    """
    if last_event_id is not None:  # of a browser that resumes: newer than what it began with
        after = event_id(last_event_id)
    newest = await services.event_log.newest()
    return event_stream(_messages(services, newest if after is None else after))


async def _messages(services: Services, told: int) -> AsyncIterator[str]:
    news: list[InstanceEvent] = []
    view, quiet_s = _View(services), 0.0
    reading = asyncio.create_task(_read(services, told, news))
    try:
        while not reading.done():
            message, quiet_s = view.news(news), quiet_s + _EVERY_S
            if message is not None:
                told = news[-1].id if news else told
                news.clear()
                quiet_s = 0.0
                yield f"id: {told}\ndata: {message.model_dump_json(by_alias=True)}\n\n"
            elif quiet_s >= ALIVE_S:
                quiet_s = 0.0
                yield ALIVE
            await asyncio.sleep(_EVERY_S)
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def _read(services: Services, after: int, news: list[InstanceEvent]) -> None:
    """Ends with the event log: when the client lags behind, or llamactl ends."""
    async for event in services.event_log.follow(after):
        if len(news) >= MOST_NEWS:
            return
        news.append(event)


class _View:
    """What has already been sent to a client."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._first = True
        self._rows: dict[str, tuple[object, ...]] = {}
        self._numbers: dict[str, tuple[int, int, float | None, float]] = {}
        self._rates_until = 0.0
        self._machine_until = 0.0
        self._jobs: list[DownloadJob] = []

    def news(self, events: list[InstanceEvent]) -> LiveBody | None:
        """None if nothing is new."""
        all_managed = self._services.instances.all()
        first, self._first = self._first, False
        ids = {managed.instance.id for managed in all_managed}
        gone = [instance_id for instance_id in self._rows if instance_id not in ids]
        for instance_id in gone:
            del self._rows[instance_id]
            self._numbers.pop(instance_id, None)
        body = LiveBody(
            whole=first,
            instances=[
                instance_body(managed, self._services.numbers.leases(managed.instance.id))
                for managed in all_managed
                if self._is_new(managed)
            ],
            gone=gone,
            numbers=self._changed_numbers(all_managed),
            machine=self._new_samples(),
            events=[event_body(event) for event in events],
            jobs=self._changed_jobs(first=first),
        )
        anything = (body.instances, gone, body.numbers, body.machine, body.events)
        return body if first or any(anything) or body.jobs is not None else None

    def _is_new(self, managed: ManagedInstance) -> bool:
        replica, runner = managed.replica, managed.replica.runner
        row = (
            managed.instance, runner.now, runner.since, replica.last_exit, replica.pid,
            replica.engine.port, managed.need, managed.launched, managed.asleep,
        )  # fmt: skip
        before = self._rows.get(managed.instance.id)
        self._rows[managed.instance.id] = row
        return before is None or before != row

    def _changed_numbers(self, all_managed: list[ManagedInstance]) -> dict[str, InstanceNumbers]:
        now = asyncio.get_running_loop().time()
        found: dict[str, InstanceNumbers] = {}
        newest = self._rates_until
        for managed in all_managed:
            instance_id, idle = managed.instance.id, managed.replica.idle_left
            leases = self._services.numbers.leases(instance_id)
            rates = [
                r for r in self._services.watch.rates.of(instance_id) if r.at > self._rates_until
            ]
            told = self._numbers.get(instance_id)
            same = told is not None and told[:2] == (leases, len(managed.waiting))
            if same and told is not None and not rates and _agree(told[2], told[3], idle, now):
                continue
            if told is None and not (leases or len(managed.waiting) or rates or idle is not None):
                continue
            self._numbers[instance_id] = (leases, len(managed.waiting), idle, now)
            newest = max([newest, *(r.at for r in rates)])
            found[instance_id] = InstanceNumbers(
                leases=leases,
                waiting=len(managed.waiting),
                idle_left_s=None if idle is None else round(idle, 1),
                rates=[RateBody(**asdict(rate)) for rate in rates],
            )
        self._rates_until = newest
        return found

    def _new_samples(self) -> list[MachineNumbers]:
        new = [one for one in self._services.watch.machine if one.at > self._machine_until]
        if new:
            self._machine_until = new[-1].at
        return [MachineNumbers(**asdict(one)) for one in new]

    def _changed_jobs(self, *, first: bool) -> list[JobBody] | None:
        jobs = self._services.downloads.jobs.all()
        if not first and jobs == self._jobs:
            return None
        self._jobs = jobs
        return [job_body(job) for job in jobs]


def _agree(told: float | None, at: float, left: float | None, now: float) -> bool:
    """Does the time left still match what the client computes from the last value?"""
    if told is None or left is None:
        return told is left
    return abs(told - (now - at) - left) < _DRIFT_S or told == left
