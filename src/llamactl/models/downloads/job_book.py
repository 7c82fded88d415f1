"""The jobs: those under way, and the last ones that are over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from llamactl.core.downloads import UNFINISHED, DownloadJob, JobKind, JobState
from llamactl.core.errors import JobNotFound, LlamactlError
from llamactl.core.ports.stores import JobStore
from llamactl.observe import logger

_KEPT = 100  # finished jobs that are remembered
log = logger("models")


class JobBook:
    """Written by `Downloads` only. Followers see each state, or a later one."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._jobs: dict[str, DownloadJob] = {}
        self._changed = asyncio.Condition()
        self.closed = False

    def __repr__(self) -> str:
        return f"<JobBook of {len(self._jobs)}>"

    async def load(self) -> None:
        self._jobs = {job.id: job for job in await self._store.load()}

    def all(self) -> list[DownloadJob]:
        """Oldest first."""
        return sorted(self._jobs.values(), key=lambda job: job.created)

    def get(self, job_id: str) -> DownloadJob:
        """Raises JobNotFound."""
        try:
            return self._jobs[job_id]
        except KeyError as exc:
            raise JobNotFound(f"there is no download {job_id[:40]!r}") from exc

    def latest(self, job: DownloadJob) -> DownloadJob:
        """Its current state; the given one if it was removed."""
        return self._jobs.get(job.id, job)

    def of_model(self, model: str) -> DownloadJob | None:
        """One that is not over, though it may be paused."""
        wanted, going = model.lower(), (*UNFINISHED, JobState.PAUSED)
        models = (job for job in self._jobs.values() if job.kind is JobKind.MODEL)
        mine = (job for job in models if job.model.lower() == wanted)
        return next((job for job in mine if job.state in going), None)

    def add(self, job: DownloadJob) -> None:
        """In memory; `set` keeps it."""
        self._jobs[job.id] = job

    async def set(self, job: DownloadJob, *, kept: bool = False) -> None:
        """`kept`: the store gets it too."""
        self._jobs[job.id] = job
        if kept:
            try:
                await self._store.save(job)
            except LlamactlError as exc:  # it continues anyway
                log.warning("download_not_kept", model=job.model, reason=exc.message)
        await self._notify()

    async def end(self, job_id: str, state: JobState, error: str = "") -> None:
        job = replace(self.get(job_id), state=state, finished=round(time.time(), 3), error=error)
        await self.set(replace(job, rate=0.0, parts=()), kept=True)

    async def remove(self, job_id: str) -> None:
        del self._jobs[job_id]
        await self._store.remove(job_id)

    async def forget_old(self) -> None:
        over = [job for job in self.all() if job.state not in (*UNFINISHED, JobState.PAUSED)]
        for job in over[: max(0, len(over) - _KEPT)]:
            with suppress(LlamactlError):
                await self.remove(job.id)

    async def follow(self, job_id: str) -> AsyncIterator[DownloadJob]:
        """Yield its current state, then each change until it ends."""
        job: DownloadJob | None = self.get(job_id)
        while job is not None:
            yield job
            if job.state not in UNFINISHED or self.closed:
                return
            job = await self._next(job)

    async def _next(self, seen: DownloadJob) -> DownloadJob | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._jobs.get(seen.id) is not seen or self.closed)
        return self._jobs.get(seen.id)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def reopen(self) -> None:
        self.closed = False

    async def close(self) -> None:
        """Let those who follow a job go."""
        self.closed = True
        await self._notify()
