"""Which engines are installed here, and whether they can use a GPU."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PathDistribution
from pathlib import Path

from llamactl.backends import BACKENDS, Kind
from llamactl.core.errors import EngineMissing
from llamactl.core.ports.engines import Installed
from llamactl.core.ports.node import EngineSettings
from llamactl.node.engine.builds import EngineBuilds
from llamactl.node.engine.command import find_engine
from llamactl.node.engine.engine_info import CommandEngineProbe
from llamactl.node.host import graphics

_PATIENCE_S = 10.0  # for each answer of an engine


async def installed(
    kind: Kind, settings: EngineSettings, builds: EngineBuilds, probe: CommandEngineProbe
) -> Installed:
    """Asks the engine itself, for some seconds at most."""
    try:
        engine = await asyncio.to_thread(find_engine, kind, settings, builds)
    except EngineMissing as exc:
        return Installed("", advice=exc.message)
    version = await asyncio.to_thread(_packaged, kind, engine.argv[0])
    if not version:
        version = _first_line(await _said(probe, kind.questions.version))
    backend, devices = BACKENDS.get(kind.type), None
    if backend is not None and (text := await _said(probe, kind.questions.devices)):
        devices = [*backend.gpus(text)]
    gpu, advice = await asyncio.to_thread(_verdict, kind, devices)
    return Installed(engine.label, version, devices, gpu, advice or engine.advice)


async def _said(probe: CommandEngineProbe, flag: str) -> str:
    if not flag:
        return ""
    with suppress(EngineMissing, TimeoutError):
        return await probe.ask(flag, within=_PATIENCE_S)
    return ""


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "").removeprefix("version:").strip()


def _packaged(kind: Kind, program: str) -> str:
    """By the metadata beside a program that pip installed: to run it could take half a minute."""
    if not kind.package:
        return ""
    with suppress(OSError):
        library = Path(program).resolve().parent.parent / "lib"
        for found in library.glob(f"python3*/site-packages/{kind.package}-*.dist-info"):
            return PathDistribution(found).version
    return ""


def _verdict(kind: Kind, devices: Sequence[str] | None) -> tuple[str, str]:
    """In words, and what to do."""
    if devices:
        return f"uses {', '.join(devices)}", ""
    makers = graphics.makers()
    if not makers:
        return "no GPU in this machine", ""
    if devices is None:
        return (
            f"doesn't say whether it uses this machine's GPU ({', '.join(makers)})",
            "",
        )
    maker = makers[0]
    if not graphics.has_driver(maker):
        return (
            f"sees no GPU: the driver of the {maker} GPU is not loaded, or its devices are not in "
            "this container",
            f"install {maker}'s driver, or start the container with its devices",
        )
    advice = kind.for_gpu.get(maker, "")
    return f"sees no GPU: this build can't use the {maker} GPU of this machine", advice
