"""Engines and their options."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class BackendBody(BaseModel):
    """A kind of engine."""

    name: str = Field(description="name in the settings, in paths and for `--backend`")
    backend_type: str = Field(description="`backend_type` of its instances")
    title: str = Field(description="for people")
    available: bool = Field(description="whether instances can use it")
    default: bool = Field(description="whether instances use it by default")
    serves_files: bool = Field(description="whether it serves model files that llamactl can read")
    in_container: bool = Field(
        False, description="whether its instances run in a container unless they say otherwise"
    )
    image: str = Field("", description="image of instances that name none; empty if there is none")


class EngineBody(BaseModel):
    """An engine on this machine."""

    name: str = Field(description="name of its backend, as in the settings")
    title: str = Field(description="for people")
    program: str = Field(description="what runs; empty if it is not installed")
    version: str = Field(description="empty if it is not known")
    devices: list[str] | None = Field(
        description="GPUs that it can use; null if the engine does not list them"
    )
    gpu: str = Field(description="whether it uses a GPU, and if not, why")
    advice: str = Field(description="what to do about it, or how to install it")


class OptionBody(BaseModel):
    """An option of an engine."""

    name: str = Field(description="name in the instance's options")
    flags: list[str] = Field(description="all flags for this option")
    type: str = Field(description="switch, integer, number, choice, list, path or text")
    choices: list[str] = Field(description="allowed values, if limited")
    default: str = Field(description="the engine's default")
    help: str = Field(description="help text of the engine")
    section: str = Field(description="section of the engine's help")
    minimum: float | None = Field(None, description="minimum of a number, if limited")
    maximum: float | None = Field(None, description="maximum of a number, if limited")


class CommandRequest(BaseModel, extra="forbid"):
    """A command line to parse."""

    command: str = Field(description="command line, as typed in a shell", max_length=1 << 16)


class ParsedBody(BaseModel):
    """A parsed command line."""

    options: dict[str, Any] = Field(description="options to create an instance with")
    image: str = Field(description="container image that the command used")
    not_understood: list[str] = Field(description="what was left out, and why")
