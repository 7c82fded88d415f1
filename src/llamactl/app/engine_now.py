"""The engine that would serve now, and what is installed."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.app.machine import engine_settings
from llamactl.backends import DEFAULT, Kind
from llamactl.config import SettingsHolder
from llamactl.core.errors import EngineMissing
from llamactl.core.ports.engines import Installed
from llamactl.node import CommandEngineProbe, EngineBuilds, find_engine, installed


def engine_now(settings: SettingsHolder) -> tuple[str, str]:
    """Its label, or why there is none; and how to have a better one."""
    builds = EngineBuilds(settings.current.data)
    try:
        engine = find_engine(DEFAULT.kind, engine_settings(settings, DEFAULT.kind), builds)
    except EngineMissing as exc:
        return f"none: {exc.message}", ""
    return engine.label, engine.advice


async def installed_now(
    settings: SettingsHolder, engines: Mapping[str, CommandEngineProbe], kind: Kind
) -> Installed:
    """`engines`: by the backend's section of the settings."""
    builds = EngineBuilds(settings.current.data)
    return await installed(kind, engine_settings(settings, kind), builds, engines[kind.section])
