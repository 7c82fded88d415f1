"""/api/v1/backends: engines' options, and command lines turned into them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, WithJsonSchema

from llamactl.api.errors import answers
from llamactl.api.routers.instances import AllowUnknown
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.backends import BACKENDS, BY_SECTION, DEFAULT, KINDS, Backend, Kind
from llamactl.backends.registry import runs
from llamactl.backends.settings import BackendSettings
from llamactl.config import Settings
from llamactl.core.errors import EngineMissing, InvalidRequest
from llamactl.core.instance import InstanceOptions
from llamactl.policy.definition.backend_rules import renamed
from llamactl.policy.definition.command_line import Parsed, leave_unknown_out
from llamactl.policy.definition.engine_help import (
    UNREAD,
    EngineOption,
    Vocabulary,
)
from llamactl.schemas.backends import (
    BackendBody,
    CommandRequest,
    EngineBody,
    OptionBody,
    ParsedBody,
)

_MOST_ROWS = 256  # of what is not understood

router = APIRouter(prefix="/api/v1/backends", dependencies=GUARDS, tags=["backends"])


def _known(section: str) -> str:
    if section not in BY_SECTION:
        raise ValueError(f"unknown backend; the backends are {', '.join(BY_SECTION)}")
    return section


Section = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": [*BY_SECTION]}),
    Path(description="name of the backend in the settings"),
]


@router.get("", responses=answers())
async def list_engines(services: ServicesDep) -> list[EngineBody]:
    """List the engines: which are installed, their versions, and the GPUs that they can use."""
    kinds = [kind for kind in KINDS if services.about.command(kind)]
    found = await asyncio.gather(*map(services.about.installed, kinds))
    return [
        EngineBody(
            name=kind.section, title=kind.title, program=one.program, version=one.version,
            devices=None if one.devices is None else [*one.devices], gpu=one.gpu, advice=one.advice,
        )
        for kind, one in zip(kinds, found, strict=True)
    ]  # fmt: skip


@router.get("/{backend}/options", responses=answers(500))
async def list_options(backend: Section, services: ServicesDep) -> list[OptionBody]:
    """List the options of the installed engine, from its help or its backend."""
    kind = BY_SECTION[backend]
    options = await _options(kind, services)
    known = Vocabulary(options)
    return [
        OptionBody(
            name=_name(kind, option, known), flags=[*option.flags], type=option.kind,
            choices=[*option.choices], default=option.default, help=option.help,
            section=option.section, minimum=option.minimum, maximum=option.maximum,
        )
        for option in options
    ]  # fmt: skip


@router.post("/{backend}/parse-command", responses=answers(415))
async def parse(
    backend: Section,
    asked: CommandRequest,
    services: ServicesDep,
    allow_unknown: AllowUnknown = False,
) -> ParsedBody:
    """Convert a command line to instance options, and report what was left out."""
    kind = BY_SECTION[backend]
    known = await _known_of(kind, services)
    # others are not to wait for it
    kind, found = await run_in_threadpool(_parsed, kind, asked.command, known)
    known = known if kind is BY_SECTION[backend] else await _known_of(kind, services)
    wanted = InstanceOptions(
        backend_options=found.options, environment=found.environment,
        command_override=found.command_override,
    )  # fmt: skip
    for problem in await run_in_threadpool(services.confinement.problems, wanted):
        found.leave_out(problem.field, str(problem))
    if not (allow_unknown or found.command_override):  # a program of its own has its own
        await run_in_threadpool(leave_unknown_out, found, known)
    options: dict[str, object] = {"backend_type": kind.type, "backend_options": found.options}
    if found.environment:
        options["environment"] = {**found.environment}
    if found.command_override:
        options["command_override"] = found.command_override
    rows = _first(found.not_understood)
    return ParsedBody(options=options, image=found.image, not_understood=rows)


def _parsed(kind: Kind, text: str, known: Vocabulary) -> tuple[Kind, Parsed]:
    """By the engine that it runs, if that is another than the default. Raises InvalidRequest."""
    backend = BACKENDS[kind.type]
    try:
        return kind, backend.parse_command(text, known)
    except InvalidRequest:
        other = runs(text) if backend is DEFAULT else None
        if other is None:
            raise
        return other.kind, other.parse_command(text, UNREAD)


async def _known_of(kind: Kind, services: Services) -> Vocabulary:
    try:
        return Vocabulary(await _options(kind, services))
    except EngineMissing:
        return UNREAD


def _first(rows: list[str]) -> list[str]:
    more = len(rows) - _MOST_ROWS
    return [*rows[:_MOST_ROWS], f"{more} more: shorten the command"] if more > 0 else rows


def all_backends(settings: Settings) -> list[BackendBody]:
    """Of which instances can be made."""
    return [_backend_body(kind, settings.backends.of(kind)) for kind in KINDS]


def _backend_body(kind: Kind, settings: BackendSettings) -> BackendBody:
    return BackendBody(
        name=kind.section, backend_type=kind.type, title=kind.title,
        available=True, default=kind is DEFAULT.kind,
        serves_files=_reads_files(BACKENDS[kind.type]),
        in_container=settings.in_container, image=settings.container.image,
    )  # fmt: skip


def _reads_files(backend: Backend) -> bool:
    """Of one kind, which can be chosen from those that are here."""
    return backend.models is not None and bool(backend.models.magic)


async def _options(kind: Kind, services: Services) -> list[EngineOption]:
    backend = BACKENDS[kind.type]
    listed = backend.listed_options()
    if listed is not None:
        return [*listed]
    text = await services.engines[kind.section].ask(kind.questions.help)
    return [*backend.read_help(text)]


def _name(kind: Kind, option: EngineOption, known: Vocabulary) -> str:
    """As definitions are read, so that a form and an instance speak of the same."""
    return renamed(BACKENDS[kind.type].canonical, known, option.name)
