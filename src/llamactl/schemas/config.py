"""Settings, and sets of instances."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class ChangesBody(BaseModel):
    """Instances by change."""

    create: list[str] = Field(description="instances created")
    update: list[str] = Field(description="instances updated")
    delete: list[str] = Field(description="instances deleted")
    unchanged: list[str] = Field(description="instances that already match")
    failed: dict[str, str] = Field(description="instances that failed, and why")


class ReloadBody(BaseModel):
    """The changes of a reload."""

    dry_run: bool = Field(description="true if nothing was changed")
    settings: list[str] = Field(description="settings that change immediately")
    needs_restart: list[str] = Field(description="settings that need a restart of llamactl")
    restart: list[str] = Field(description="instances whose command changes with the settings")
    instances: ChangesBody = Field(description="instances declared in files")


class SetBody(BaseModel):
    """A set of instances."""

    instances: dict[str, dict[str, Any]] = Field(description="definitions, by name")


class SettingBody(BaseModel):
    """An effective setting."""

    key: str = Field(description="setting name, with dots, as in the settings file")
    value: Any = Field(description="secrets masked")
    source: str = Field(description="`default`, or the file, variable or flag that set it")
    section: str = Field(description="section that it belongs to; empty if none")
    description: str = Field(description="what the setting does")
    unit: str = Field(description="unit of a quantity; empty otherwise")
    live: bool = Field(description="whether a reload applies a change; otherwise a restart does")
