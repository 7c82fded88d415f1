"""The engine that would serve now."""

from __future__ import annotations

from llamactl.app.wiring import section_of
from llamactl.backends import DEFAULT
from llamactl.config import SettingsHolder
from llamactl.core.errors import EngineMissing
from llamactl.node import EngineBuilds, find_engine


def engine_now(settings: SettingsHolder) -> tuple[str, str]:
    """Its label, or why there is none; and how to have a better one."""
    builds = EngineBuilds(settings.current.data)
    try:
        engine = find_engine(DEFAULT.kind, section_of(settings, DEFAULT.kind), builds)
    except EngineMissing as exc:
        return f"none: {exc.message}", ""
    return engine.label, engine.advice
