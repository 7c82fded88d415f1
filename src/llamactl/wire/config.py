"""Settings and instances as whole sets."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class ChangesBody(BaseModel):
    """Names of instances."""

    create: list[str] = Field(description="those that are made")
    update: list[str] = Field(description="those that are changed")
    delete: list[str] = Field(description="those that are removed")
    unchanged: list[str] = Field(description="those that are so already")
    failed: dict[str, str] = Field(description="what could not be done, and why")


class ReloadBody(BaseModel):
    """What a reload changes."""

    dry_run: bool = Field(description="nothing was done")
    settings: list[str] = Field(description="keys that change at once")
    needs_restart: list[str] = Field(description="keys that need a restart of llamactl")
    restart: list[str] = Field(description="instances whose command changes by the settings")
    instances: ChangesBody = Field(description="those that are declared in files")


class SetBody(BaseModel):
    """A whole set of instances."""

    instances: dict[str, dict[str, Any]] = Field(description="definitions, by name")


class SettingBody(BaseModel):
    """A setting in force."""

    key: str = Field(description="with dots, as in the settings file")
    value: Any = Field(description="secrets masked")
    source: str = Field(description="default, or the file, variable or flag that gave it")
    section: str = Field(description="that it is in; empty: in none")
    description: str = Field(description="what it is")
    unit: str = Field(description="of a quantity; else empty")
    live: bool = Field(description="a reload changes it; false: only a restart does")
