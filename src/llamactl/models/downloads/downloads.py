"""Downloads of models and images; those of models resume after a restart of llamactl."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from llamactl.core.downloads import UNFINISHED, DownloadJob, JobKind, JobState
from llamactl.core.errors import Conflict, ShuttingDown
from llamactl.core.ports.stores import JobStore
from llamactl.models.downloads.fetching import fetched
from llamactl.models.downloads.job_book import JobBook
from llamactl.models.downloads.pace import Pace
from llamactl.models.naming import read_reference
from llamactl.observe import logger

Said = Mapping[str, Any]  # chosen, progress, done or failed, as `fetch.py` writes it
log = logger("models")


class Downloads:
    """The only one who changes a job."""

    def __init__(
        self,
        store: JobStore,
        cache: Path,
        environ: Mapping[str, str],
        *,
        most: int,
        room: Callable[[], int | None],
    ) -> None:
        """`most`: at the same time. `room`: bytes of memory for a model; None: unknown."""
        self.jobs = JobBook(store)
        self._cache = cache
        own = {k: v for k, v in environ.items() if not k.startswith("LLAMACTL_")}  # our keys
        self._environ = {**own, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"}
        self._places = asyncio.Semaphore(most)
        self.room = room
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Downloads {len(self._tasks)} under way>"

    def go_on(self) -> None:
        """With what was under way when llamactl ended."""
        self.jobs.reopen()
        for job in self.jobs.all():
            if job.state in UNFINISHED and job.id not in self._tasks:
                self._begin(job.id, self._of_model(job.id))

    async def start(self, model: str) -> DownloadJob:
        """Of what is being fetched already, that job. Raises InvalidRequest for no name."""
        wanted = str(read_reference(model))
        if self.jobs.closed:
            raise ShuttingDown("llamactl is being replaced or stopped; retry later")
        if (job := self.jobs.of_model(wanted)) is not None:
            return await self.resume(job.id)
        job = DownloadJob(secrets.token_hex(6), wanted, round(time.time(), 3))
        self.jobs.add(job)
        # before anything is waited for: our caller may leave
        self._begin(job.id, self._of_model(job.id))
        await self.jobs.set(job, kept=True)
        await self.jobs.forget_old()
        return self.jobs.latest(job)

    async def pull(self, reference: str, source: AsyncGenerator[Said]) -> DownloadJob:
        """Of an image, which `source` fetches; returns when that is over.

        Cancelled with its caller. Nothing of it is left for the next start of llamactl.
        """
        job = DownloadJob(
            secrets.token_hex(6), reference, round(time.time(), 3), JobState.RUNNING,
            kind=JobKind.IMAGE,
        )  # fmt: skip
        self.jobs.add(job)
        task = self._begin(job.id, source)
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():
                await self.cancel(job.id)
        await self.jobs.forget_old()
        return self.jobs.latest(job)

    async def pause(self, job_id: str) -> DownloadJob:
        """Keep what is there, and fetch no more for now. Raises JobNotFound, Conflict."""
        job, task = self.jobs.get(job_id), self._tasks.get(job_id)
        if job.state is JobState.PAUSED:
            return job
        if job.kind is JobKind.IMAGE:
            raise Conflict(f"{job.model} is an image, which can't be paused; cancel it instead")
        if task is None or job.state not in UNFINISHED:
            raise Conflict(
                f"the download of {job.model} is {job.state}; only a running download can be paused"
            )
        await self._detached(self._pause(job_id, task))
        return self.jobs.get(job_id)

    async def _pause(self, job_id: str, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        job = self.jobs.get(job_id)
        if job.state in UNFINISHED:  # it was not faster
            await self.jobs.set(replace(job, state=JobState.PAUSED, rate=0.0), kept=True)

    async def resume(self, job_id: str) -> DownloadJob:
        """Raises JobNotFound, Conflict."""
        job = self.jobs.get(job_id)
        if job.state in UNFINISHED:
            return job
        if job.kind is JobKind.IMAGE:
            raise Conflict(f"{job.model} is an image; start its instance again to download it")
        if job.state is not JobState.PAUSED:
            raise Conflict(f"the download of {job.model} is {job.state}; download it again")
        if self.jobs.closed:
            raise ShuttingDown("llamactl is being replaced or stopped; retry later")
        await self.jobs.set(replace(job, state=JobState.QUEUED), kept=True)
        self._begin(job_id, self._of_model(job_id))
        return self.jobs.get(job_id)

    async def cancel(self, job_id: str) -> None:
        """Stop it and remove its parts; of one that is over, forget it. Raises JobNotFound.

        Continues to its end even if its caller leaves.
        """
        job, task = self.jobs.get(job_id), self._tasks.get(job_id)
        if job.state is JobState.PAUSED:
            await self._detached(self._discard(job_id))
        elif job.state in UNFINISHED and task is not None:
            await self._detached(self._cancel(job_id, task))
        else:  # its task may be about to end yet
            await self.jobs.remove(job_id)

    async def _detached(self, work: Coroutine[object, object, None]) -> None:
        """To its end, if its caller leaves too."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    async def _cancel(self, job_id: str, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self.jobs.get(job_id).state in UNFINISHED:  # it was not faster
            await self._discard(job_id)

    async def _discard(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        await asyncio.to_thread(_remove, job.parts)
        await self.jobs.end(job_id, JobState.CANCELLED, "cancelled")
        log.info("download_cancelled", model=job.model)

    async def close(self) -> None:
        """Leave what is under way for the next start."""
        await self.jobs.close()
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, job_id: str, source: AsyncGenerator[Said]) -> asyncio.Task[None]:
        task = self._tasks[job_id] = asyncio.create_task(self._run(job_id, source))
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))
        return task

    async def _of_model(self, job_id: str) -> AsyncGenerator[Said]:
        async with self._places:
            await self.jobs.set(replace(self.jobs.get(job_id), state=JobState.RUNNING))
            model = self.jobs.get(job_id).model
            async with aclosing(fetched(model, self._cache, self._environ)) as lines:
                async for said in lines:
                    yield said

    async def _run(self, job_id: str, source: AsyncGenerator[Said]) -> None:
        async with aclosing(source):
            ended = await self._heard(job_id, source)
        job = self.jobs.get(job_id)
        if ended["event"] == "done":
            await self.jobs.set(replace(job, path=str(ended["path"]), done=job.total))
            await self.jobs.end(job_id, JobState.DONE)
            log.info("downloaded", model=job.model, bytes=job.total)
        else:
            choices = tuple(ended.get("choices") or job.choices)
            await self.jobs.set(replace(job, choices=choices))
            await self.jobs.end(job_id, JobState.FAILED, str(ended["error"]))
            log.warning("download_failed", model=job.model, reason=str(ended["error"]))

    async def _heard(self, job_id: str, source: AsyncGenerator[Said]) -> Said:
        """The last thing that is said."""
        pace = Pace()
        async for said in source:
            match said["event"]:
                case "chosen":
                    await self.jobs.set(self._chosen(job_id, said), kept=True)
                case "progress":
                    job, done = self.jobs.get(job_id), said["done"]
                    total = said.get("total", job.total)
                    await self.jobs.set(replace(job, done=done, total=total, rate=pace(done)))
                case _:
                    return said
        return {"event": "failed", "error": "the download ended without a word"}

    def _chosen(self, job_id: str, said: Said) -> DownloadJob:
        room, total = self.room(), int(said["total"])
        warning = ""
        if room is not None and total > room:
            warning = f"the model needs over {total >> 20} MiB, but the limit is {room >> 20} MiB"
        return replace(
            self.jobs.get(job_id), name=said["name"], choices=tuple(said["choices"]),
            files=tuple(said["files"]), parts=tuple(said["parts"]), total=total, warning=warning,
        )  # fmt: skip


def _remove(parts: Iterable[str]) -> None:
    for part in parts:
        Path(part).unlink(missing_ok=True)
