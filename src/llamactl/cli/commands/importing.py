"""`llamactl import`: take over what another program kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.options import AllowUnknown
from llamactl.cli.session import Session, command
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.engine_help import EngineOption, Kind, Vocabulary

if TYPE_CHECKING:
    from llamactl.migration import Migrated
    from llamactl.schemas.backends import OptionBody

commands = group("Migrate from another program. Shows what it would do unless --apply is given.")
Apply = Annotated[bool, typer.Option("--apply", help="Create the instances.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="With --apply: also change instances that exist.")
]
SettingsOut = Annotated[
    Path | None, typer.Option("--settings-out", help="Where to write the new settings file.")
]


@commands.command("llamactl")
@command
@examples(
    "llamactl import llamactl llamactl.db --config config.yaml",
    "llamactl import llamactl llamactl.db --apply",
)
def go_llamactl(
    s: Session,
    database: Annotated[
        Path | None,
        typer.Argument(help="Its llamactl.db, or its folder of JSON files.", exists=True),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Its settings file.", exists=True)
    ] = None,
    apply: Apply = False,
    replace: Replace = False,
    allow_unknown: AllowUnknown = False,
    settings_out: SettingsOut = None,
) -> None:
    """Migrate from the Go llamactl. Reads its database, its settings file, or both."""
    from llamactl.migration import from_go_llamactl

    if database is None and config is None:
        raise LlamactlError("give its database, or its settings file with --config")
    settings = None if config is None else _yaml(config)
    _carry_out(
        s,
        from_go_llamactl(database, settings, _engine(s, allow_unknown)),
        settings_out,
        _How(apply, replace, allow_unknown),
    )


@commands.command("llama-swap")
@command
@examples(
    "llamactl import llama-swap config.yaml", "llamactl import llama-swap config.yaml --apply"
)
def llama_swap(
    s: Session,
    config: Annotated[Path, typer.Argument(help="Its config.yaml.", exists=True)],
    apply: Apply = False,
    replace: Replace = False,
    allow_unknown: AllowUnknown = False,
    settings_out: SettingsOut = None,
) -> None:
    """Migrate from llama-swap."""
    import os

    from llamactl.migration import from_llama_swap

    found = from_llama_swap(_yaml(config), os.environ, _engine(s, allow_unknown))
    _carry_out(s, found, settings_out, _How(apply, replace, allow_unknown))


def _yaml(file: Path) -> Any:
    from llamactl.migration.source import read_yaml

    try:
        return read_yaml(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, LlamactlError) as exc:
        raise LlamactlError(f"cannot read {file}: {exc}") from exc


def _engine(s: Session, allow_unknown: bool) -> Vocabulary:
    """The options of the server's engine; empty where there is no server, or no engine."""
    rows: Sequence[OptionBody] = ()
    if not allow_unknown:
        with suppress(LlamactlError):
            rows = s.client.backends.options()
    return Vocabulary(
        EngineOption(
            row.name, tuple(row.flags), cast(Kind, row.type), tuple(row.choices), row.default,
            row.help, row.section,
        )
        for row in rows
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _How:
    apply: bool
    replace: bool
    allow_unknown: bool


@dataclass(slots=True)
class _Changes:
    """What becomes of each instance that comes in."""

    create: list[str] = field(default_factory=list)
    update: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def _changes(s: Session, found: Migrated, how: _How) -> _Changes:
    """One after the other: a faulty one does not stop the others."""
    done = _Changes()
    for name, definition in found.instances.items():
        wanted = {name: definition}
        apply = partial(s.client.config.apply, wanted, allow_unknown=how.allow_unknown)
        try:
            planned = apply(dry_run=not (how.apply and how.replace))
            if how.apply and not how.replace:
                if planned.update:
                    done.failed[name] = "it exists and would change; add --replace to change it"
                    continue
                planned = apply()
        except LlamactlError as exc:
            done.failed[name] = exc.message
            continue
        done.failed.update(planned.failed)
        for into, names in ((done.create, planned.create), (done.update, planned.update),
                            (done.unchanged, planned.unchanged)):  # fmt: skip
            into += [one for one in names if one == name and one not in planned.failed]
    return done


def _carry_out(s: Session, found: Migrated, settings_out: Path | None, how: _How) -> None:
    import yaml

    asked = how.apply or s.known_url
    done = _changes(s, found, how) if asked else _Changes([*found.instances])
    if settings_out is not None:
        settings_out.write_text(yaml.safe_dump(found.settings, sort_keys=False), encoding="utf-8")
    start = [name for name in found.start if name not in done.failed]
    if s.as_json:
        rows = [{"key": r.key, "outcome": r.outcome, "note": r.note} for r in found.rows]
        said = {"instances": found.instances, "settings": found.settings, "start": start}
        plan = {"create": done.create, "update": done.update, "unchanged": done.unchanged}
        s.print_json({**said, "report": rows, "applied": how.apply, **plan, "failed": done.failed})
        raise typer.Exit(1 if done.failed else 0)
    s.table(("KEY", "OUTCOME", "NOTE"), [(row.key, row.outcome, row.note) for row in found.rows])
    typer.echo("")
    if how.apply:
        _tell_done(done, start)
    else:
        _tell_plan(found, done)
    if done.failed:
        raise typer.Exit(1)


def _tell_plan(found: Migrated, done: _Changes) -> None:
    import yaml

    from llamactl.core.secrets.masking import masked

    typer.echo(yaml.safe_dump(masked({"instances": found.instances}), sort_keys=False))
    for name in done.update:
        typer.echo(f"{name} exists and would change: add --replace to change it")
    for name in done.unchanged:
        typer.echo(f"{name} exists and would not change")
    _tell_failed(done)
    typer.echo("nothing was changed; use --apply to create these instances", err=True)


def _tell_done(done: _Changes, start: list[str]) -> None:
    _tell_failed(done)
    typer.echo(f"created {_instances(done.create)}")
    if done.update:
        typer.echo(f"changed {_instances(done.update)}: {', '.join(done.update)}")
    if start:
        typer.echo(f"to start the instances that were running: llamactl start {' '.join(start)}")


def _instances(names: list[str]) -> str:
    return "1 instance" if len(names) == 1 else f"{len(names)} instances"


def _tell_failed(done: _Changes) -> None:
    for name, why in done.failed.items():
        typer.echo(f"failed: {name}: {why}", err=True)
