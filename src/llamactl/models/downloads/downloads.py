"""Downloads: one process each, limited in number; they resume after a restart of llamactl."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from llamactl.core.downloads import UNFINISHED, DownloadJob, JobState
from llamactl.core.errors import Conflict, ShuttingDown
from llamactl.core.ports.stores import JobStore
from llamactl.models.downloads.job_book import JobBook
from llamactl.models.downloads.pace import Pace
from llamactl.models.naming import read_reference
from llamactl.observe import logger

_LINE = 1 << 20
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
                self._begin(job.id)

    async def start(self, model: str) -> DownloadJob:
        """Of what is being fetched already, that job. Raises InvalidRequest for no name."""
        wanted = str(read_reference(model))
        if self.jobs.closed:
            raise ShuttingDown("llamactl is being replaced or stopped; retry later")
        if (job := self.jobs.of_model(wanted)) is not None:
            return await self.resume(job.id)
        job = DownloadJob(secrets.token_hex(6), wanted, round(time.time(), 3))
        self.jobs.add(job)
        self._begin(job.id)  # before anything is waited for: our caller may leave
        await self.jobs.set(job, kept=True)
        await self.jobs.forget_old()
        return self.jobs.latest(job)

    async def pause(self, job_id: str) -> DownloadJob:
        """Keep what is there, and fetch no more for now. Raises JobNotFound, Conflict."""
        job, task = self.jobs.get(job_id), self._tasks.get(job_id)
        if job.state is JobState.PAUSED:
            return job
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
        if job.state is not JobState.PAUSED:
            raise Conflict(f"the download of {job.model} is {job.state}; download it again")
        if self.jobs.closed:
            raise ShuttingDown("llamactl is being replaced or stopped; retry later")
        await self.jobs.set(replace(job, state=JobState.QUEUED), kept=True)
        self._begin(job_id)
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

    def _begin(self, job_id: str) -> None:
        task = self._tasks[job_id] = asyncio.create_task(self._run(job_id))
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _run(self, job_id: str) -> None:
        async with self._places:
            await self.jobs.set(replace(self.jobs.get(job_id), state=JobState.RUNNING))
            try:
                ended = await self._fetch(job_id)
            except (OSError, ValueError, KeyError) as exc:  # ValueError: it says what it should not
                ended = {"event": "failed", "error": f"the download process failed: {exc}"}
            if ended["event"] == "done":
                job = self.jobs.get(job_id)
                await self.jobs.set(replace(job, path=str(ended["path"]), done=job.total))
                await self.jobs.end(job_id, JobState.DONE)
                log.info("downloaded", model=job.model, bytes=job.total)
            else:
                choices = tuple(ended.get("choices") or self.jobs.get(job_id).choices)
                await self.jobs.set(replace(self.jobs.get(job_id), choices=choices))
                await self.jobs.end(job_id, JobState.FAILED, str(ended["error"]))
                log.warning(
                    "download_failed", model=self.jobs.get(job_id).model, reason=str(ended["error"])
                )

    async def _fetch(self, job_id: str) -> Mapping[str, Any]:
        """The last thing that the process says."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "llamactl.models.downloads.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=self._environ, limit=_LINE,
        )  # fmt: skip
        words = asyncio.create_task(_last_words(process))
        try:
            assert process.stdin is not None and process.stdout is not None
            spec = {"model": self.jobs.get(job_id).model, "cache": str(self._cache)}
            process.stdin.write(orjson.dumps(spec) + b"\n")  # it stays open: its end is our end
            pace = Pace()
            async for line in process.stdout:
                said = orjson.loads(line)
                match said["event"]:
                    case "chosen":
                        await self.jobs.set(self._chosen(job_id, said), kept=True)
                    case "progress":
                        job = replace(
                            self.jobs.get(job_id), done=said["done"], rate=pace(said["done"])
                        )
                        await self.jobs.set(job)
                    case _:
                        return dict(said)
            code = await process.wait()
            return {"event": "failed", "error": f"it exited with code {code}: {await words}"}
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            words.cancel()
            await asyncio.gather(words, return_exceptions=True)

    def _chosen(self, job_id: str, said: Mapping[str, Any]) -> DownloadJob:
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


async def _last_words(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = await process.stderr.read()
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2][-500:]
