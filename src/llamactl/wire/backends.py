"""Engines, and how they are told what to do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class BackendBody(BaseModel):
    """A kind of engine."""

    name: str = Field(description="in the settings, in paths and for `--backend`")
    backend_type: str = Field(description="of its instances")
    title: str = Field(description="for people")
    available: bool = Field(description="can instances have it?")
    default: bool = Field(description="do instances have it that name none?")
    serves_files: bool = Field(description="does it serve model files that llamactl can read?")


class OptionBody(BaseModel):
    """An option of an engine."""

    name: str = Field(description="as an instance is given it")
    flags: list[str] = Field(description="all of its spellings")
    type: str = Field(description="switch, integer, number, choice, list, path or text")
    choices: list[str] = Field(description="where only these are allowed")
    default: str = Field(description="the engine's own")
    help: str = Field(description="what the engine says of it")
    section: str = Field(description="of the engine's help")


class CommandRequest(BaseModel, extra="forbid"):
    """A command line to read."""

    command: str = Field(description="a command line, as one types it", max_length=1 << 16)


class ParsedBody(BaseModel):
    """What a command line says."""

    options: dict[str, Any] = Field(description="what to create an instance with")
    image: str = Field(description="of the container that the command was for")
    not_understood: list[str] = Field(description="what is left out, and why")
