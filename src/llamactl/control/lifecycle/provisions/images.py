"""The images that starts wait for: one download each, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from llamactl.core.downloads import DownloadJob, JobState
from llamactl.core.errors import LaunchFailed
from llamactl.core.events import ProcessId
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.ports.node import Image, LaunchSpec, Node


class Jobs(Protocol):
    async def pull(self, reference: str, source: AsyncGenerator[Mapping[str, Any]]) -> DownloadJob:
        """The job, once it is over; cancelled with its caller."""
        ...


@dataclass(slots=True, eq=False)
class _Pull:
    job: asyncio.Task[DownloadJob]
    failed: list[LaunchFailed]
    waiting: int = 0


class Images:
    """Of one node."""

    def __init__(self, node: Node, jobs: Jobs) -> None:
        self._node = node
        self._jobs = jobs
        self._pulls: dict[Image, _Pull] = {}
        self._waits: dict[ProcessId, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Images {len(self._pulls)} under way>"

    def elsewhere(self, node: Node) -> Images:
        """Those of another node."""
        return Images(node, self._jobs)

    async def until_there(self, spec: LaunchSpec) -> None:
        """Until the image is there, or `call_off`. Raises LaunchFailed."""
        if (image := await self._node.missing_image(spec)) is None:
            return
        wait = self._waits[spec.process] = asyncio.create_task(self._wait(image))
        try:
            await asyncio.wait([wait])
        finally:
            del self._waits[spec.process]
            wait.cancel()
        if wait.cancelled():
            raise _without(
                FailureClass.KILLED, "its start was called off before its image was there"
            )
        wait.result()

    def call_off(self, process: ProcessId) -> None:
        """Nothing, if this process does not wait for an image."""
        if (wait := self._waits.get(process)) is not None:
            wait.cancel()

    async def _wait(self, image: Image) -> None:
        pull = self._pulls.get(image) or self._begin(image)
        pull.waiting += 1
        try:
            await asyncio.wait([pull.job])
        finally:
            pull.waiting -= 1
            if not pull.waiting and not pull.job.done():
                del self._pulls[image]
                pull.job.cancel()
        if pull.failed:
            raise pull.failed[0]
        if pull.job.result().state is not JobState.DONE:
            why = "the download of its image was cancelled; start it again"
            raise _without(FailureClass.IMAGE_MISSING, why)

    def _begin(self, image: Image) -> _Pull:
        failed: list[LaunchFailed] = []
        job = asyncio.create_task(self._jobs.pull(image.reference, self._said(image, failed)))
        pull = self._pulls[image] = _Pull(job, failed)
        job.add_done_callback(lambda _: self._pulls.pop(image, None))
        return pull

    async def _said(
        self, image: Image, failed: list[LaunchFailed]
    ) -> AsyncGenerator[Mapping[str, Any]]:
        try:
            async with aclosing(self._node.pull(image)) as pull:
                async for now in pull:
                    yield {"event": "progress", "done": now.done, "total": now.total}
        except LaunchFailed as exc:
            failed.append(exc)
            yield {"event": "failed", "error": exc.report.error_line or exc.report.advice}
        else:
            yield {"event": "done", "path": ""}


def _without(failure: FailureClass, why: str) -> LaunchFailed:
    return LaunchFailed(ExitReport(failure, advice=why))
