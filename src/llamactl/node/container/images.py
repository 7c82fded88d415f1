"""The image of a container: is it there, and how it comes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container
from llamactl.core.ports.node import Image, PullProgress
from llamactl.node.container.client import Client
from llamactl.node.container.failures import ContainerError, failure_of
from llamactl.node.container.pull_output import PullOutput
from llamactl.node.engine.command import tied_to_us
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock

_STALLED_S = 600.0  # without a word
_OFTEN_S = 0.25
_READ = 1 << 16
_SCREEN = struct.pack("HHHH", 1000, 200, 0, 0)  # lines and columns: none is left out
log = logger("node")


async def missing(client: Client, container: Container) -> Image | None:
    """What has to be pulled. Raises ContainerError if it may not be."""
    there = await client.has_image(container.image)
    if there and container.pull != "always":
        return None
    if container.pull == "never":
        raise ContainerError(
            f"no image {container.image}", FailureClass.IMAGE_MISSING,
            "its image is not on this machine; pull it, or set container.pull to missing",
        )  # fmt: skip
    return Image(client.kind, container.image, there)


async def pulled(client: Client, image: Image) -> AsyncGenerator[PullProgress]:
    """Until it is there. Raises ContainerError.

    The clients show progress on a terminal only. Closing the generator ends the client.
    """
    screen, end = os.openpty()
    process = None
    try:
        try:
            fcntl.ioctl(end, termios.TIOCSWINSZ, _SCREEN)
            process = await asyncio.create_subprocess_exec(
                *tied_to_us(), client.program, "pull", image.reference,
                stdin=asyncio.subprocess.DEVNULL, stdout=end, stderr=end, env=client.environment,
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(end)
        output, shown, at = PullOutput(), PullProgress(0, 0), 0.0
        async with aclosing(_shown(screen)) as pieces:
            async for piece in pieces:
                now = output.heard(piece)
                if now != shown and time.monotonic() - at >= _OFTEN_S:
                    shown, at = now, time.monotonic()
                    yield shown
        if await process.wait() == 0:
            yield PullProgress(shown.total, shown.total)
        elif image.is_there:
            log.warning("image_not_renewed", image=image.reference, reason=output.said[-200:])
        else:
            raise failure_of(client.kind, "pull", output.said)
    finally:
        os.close(screen)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


async def _shown(screen: int) -> AsyncGenerator[bytes]:
    """What is written to a terminal, until all who could write are gone."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    os.set_blocking(screen, False)
    loop.add_reader(screen, ready.set)
    try:
        while True:
            try:
                async with loop_clock().timeout(_STALLED_S):
                    await ready.wait()
            except TimeoutError as exc:
                raise ContainerError(
                    f"nothing came for {_STALLED_S:g} s", FailureClass.IMAGE_MISSING,
                    "its image did not come: the download stalled; start the instance again",
                ) from exc  # fmt: skip
            ready.clear()
            try:
                piece = os.read(screen, _READ)
            except BlockingIOError:
                continue
            except OSError as exc:
                if exc.errno == errno.EIO:  # nobody holds its other end any longer
                    return
                raise
            yield piece
    finally:
        loop.remove_reader(screen)
