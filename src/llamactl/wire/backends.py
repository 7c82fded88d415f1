"""Engines, and how they are told what to do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class OptionBody(BaseModel):
    name: str = Field(description="as an instance is given it")
    flags: list[str]
    type: str = Field(description="switch, integer, number, choice, list, path or text")
    choices: list[str]
    default: str
    help: str
    section: str


class CommandRequest(BaseModel, extra="forbid"):
    command: str = Field(description="a command line, as one types it", max_length=1 << 16)


class ParsedBody(BaseModel):
    options: dict[str, Any] = Field(description="what to create an instance with")
    image: str = Field(description="of the container that the command was for")
    not_understood: list[str] = Field(description="what is left out, and why")
