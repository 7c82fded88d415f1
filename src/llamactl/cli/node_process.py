"""The process of a node: from its settings to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llamactl.cluster.folder import Place
    from llamactl.config import Loaded


def run(
    head: str, token_file: Path, name: str, address: str, loaded: Loaded,
    labels: Mapping[str, str], *, verbose: bool,
) -> None:  # fmt: skip
    """Until a signal. Raises LlamactlError where it can't begin.

    `labels`: beside those in the settings.
    """
    from llamactl.maintenance.membership import join
    from llamactl.observe import configure

    settings = loaded.settings
    configure(json=settings.log.format == "json", level="debug" if verbose else settings.log.level)
    place = join(settings, head, token_file, name, address)
    asyncio.run(_run(loaded, place, labels))


async def _run(loaded: Loaded, place: Place, labels: Mapping[str, str]) -> None:
    from llamactl.app.node_application import NodeApplication
    from llamactl.cli.process import raise_file_limit

    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    typer.echo(f"node {place.node} at {place.address} joins the cluster at {place.head}")
    node = NodeApplication(loaded, os.environ, raise_file_limit(), labels)
    await node.run(place, told.wait())
