"""/api/v1/backends: an engine's options, and command lines turned into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Mine, Services
from llamactl.backends import BACKENDS
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions, OptionValue
from llamactl.policy.command_line import parse_command
from llamactl.policy.engine_help import EngineOption, by_flag, name_of, read_help
from llamactl.wire.backends import CommandRequest, OptionBody, ParsedBody

router = APIRouter(prefix="/api/v1/backends", dependencies=GUARDS, tags=["backends"])
Known = Literal["llama-cpp", "vllm", "mlx"]
Backend = Annotated[Known, Path(description="name of the backend in the settings")]
_TYPES: Mapping[Known, str] = {"llama-cpp": "llama_cpp", "vllm": "vllm", "mlx": "mlx_lm"}


@router.get("/{backend}/options", responses=answers(500))
async def list_options(backend: Backend, mine: Mine) -> list[OptionBody]:
    """List the options of the installed engine, from its own help."""
    return [
        OptionBody(
            name=_name(backend, option), flags=[*option.flags], type=option.kind,
            choices=[*option.choices], default=option.default, help=option.help,
            section=option.section,
        )
        for option in await _options(backend, mine)
    ]  # fmt: skip


@router.post("/{backend}/parse-command", responses=answers(415))
async def parse(backend: Backend, asked: CommandRequest, mine: Mine) -> ParsedBody:
    """Convert a command line to instance options, and report what was left out."""
    try:
        known = by_flag(await _options(backend, mine))
    except EngineMissing:
        known = {}
    found = parse_command(asked.command, known, lambda given: _canonical(backend, given))
    wanted = InstanceOptions(backend_options=found.options, environment=found.environment)
    for problem in await run_in_threadpool(mine.confinement.problems, wanted):
        found.leave_out(problem.field, str(problem))
    options: dict[str, object] = {"backend_type": _TYPES[backend], "backend_options": found.options}
    if found.environment:
        options["environment"] = {**found.environment}
    return ParsedBody(options=options, image=found.image, not_understood=found.not_understood)


async def _options(backend: Known, mine: Services) -> list[EngineOption]:
    return read_help(await mine.engines[backend].ask("--help"))


def _canonical(
    backend: Known, given: Mapping[str, OptionValue]
) -> Mapping[str, OptionValue | None]:
    known = BACKENDS.get(_TYPES[backend])
    return given if known is None else known.canonical(given)


def _name(backend: Known, option: EngineOption) -> str:
    """The one that `canonical` gives, so that a form and an instance speak of the same."""
    name = name_of(option.flags)
    return next(iter(_canonical(backend, {name: ""})), name) if name not in _OURS else name


_OURS = ("host", "api_key", "api_key_file", "ssl_key_file", "ssl_cert_file")
