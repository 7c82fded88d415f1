"""The image of a container: there, or pulled as part of a start, which may be called off."""

from __future__ import annotations

import asyncio
import os

from llamactl.core.events import ProcessId
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container
from llamactl.node.container.client import Client
from llamactl.node.container.failures import ContainerError, EngineDown
from llamactl.node.logs.log import InstanceLog
from llamactl.observe import logger

log = logger("node")


class Pulls:
    """Those under way, by the process that waits for its image."""

    def __init__(self) -> None:
        self._tasks: dict[ProcessId, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Pulls {len(self._tasks)}>"

    async def until_there(
        self, process: ProcessId, client: Client, container: Container, its_log: InstanceLog
    ) -> None:
        """Until the image is there, or `call_off`. Raises ContainerError or OSError."""
        pull = self._tasks[process] = asyncio.create_task(_pull(client, container, its_log))
        try:
            await asyncio.wait([pull])
        finally:
            del self._tasks[process]
            pull.cancel()
        if pull.cancelled():
            raise ContainerError(
                "called off", FailureClass.KILLED,
                "its start was called off before its image was there",
            )  # fmt: skip
        pull.result()

    def call_off(self, process: ProcessId) -> None:
        """Nothing, if this process does not wait for an image."""
        if (pull := self._tasks.get(process)) is not None:
            pull.cancel()


def no_image(image: str) -> ContainerError:
    """It is not there, and may not be pulled."""
    return ContainerError(
        f"no image {image}", FailureClass.IMAGE_MISSING,
        "its image is not on this machine; pull it, or set container.pull to missing",
    )  # fmt: skip


async def _pull(client: Client, container: Container, its_log: InstanceLog) -> None:
    there = container.pull != "always" and await client.has_image(container.image)
    if there:
        return
    if container.pull == "never":
        raise no_image(container.image)
    fd, _ = its_log.open(f"--- pulling the image {container.image}")
    try:
        await client.pull(container.image, fd)
    except EngineDown:
        raise
    except ContainerError as exc:
        if not await client.has_image(container.image):
            raise
        log.warning("image_not_renewed", image=container.image, reason=exc.said[-200:])
    finally:
        os.close(fd)
