"""`llamactl import`: take over what another program kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llamactl.cli.options import AllowUnknown
from llamactl.cli.session import Session, command
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.engine_help import EngineOption, Kind, Vocabulary

if TYPE_CHECKING:
    from llamactl.migration import Migrated
    from llamactl.schemas.backends import OptionBody

commands = typer.Typer(
    help="Migrate from another program. Shows what it would do unless --apply is given.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Apply = Annotated[bool, typer.Option("--apply", help="Create the instances.")]
SettingsOut = Annotated[
    Path | None, typer.Option("--settings-out", help="Where to write the new settings file.")
]


@commands.command("llamactl")
@command
def go_llamactl(
    s: Session,
    database: Annotated[Path | None, typer.Argument(help="Its llamactl.db.", exists=True)] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Its settings file.", exists=True)
    ] = None,
    apply: Apply = False,
    settings_out: SettingsOut = None,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Migrate from the Go llamactl: its database, its settings file, or both."""
    from llamactl.migration import from_go_llamactl

    if database is None and config is None:
        raise LlamactlError("give its database, or its settings file with --config")
    settings = None if config is None else _yaml(config)
    found = from_go_llamactl(database, settings, _engine(s, allow_unknown))
    _carry_out(s, found, settings_out, apply=apply, allow_unknown=allow_unknown)


@commands.command("llama-swap")
@command
def llama_swap(
    s: Session,
    config: Annotated[Path, typer.Argument(help="Its config.yaml.", exists=True)],
    apply: Apply = False,
    settings_out: SettingsOut = None,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Migrate from llama-swap."""
    import os

    from llamactl.migration import from_llama_swap

    found = from_llama_swap(_yaml(config), os.environ, _engine(s, allow_unknown))
    _carry_out(s, found, settings_out, apply=apply, allow_unknown=allow_unknown)


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


def _yaml(file: Path) -> Any:
    import yaml

    from llamactl.config import unreadable

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise LlamactlError(f"cannot read {file}: {unreadable(exc)}") from exc


def _carry_out(
    s: Session, found: Migrated, settings_out: Path | None, *, apply: bool, allow_unknown: bool
) -> None:
    import yaml

    failed: dict[str, str] = {}
    if apply and found.instances:
        done = s.client.config.apply(found.instances, allow_unknown=allow_unknown)
        failed = done.failed
    if settings_out is not None:
        settings_out.write_text(yaml.safe_dump(found.settings, sort_keys=False), encoding="utf-8")
    if s.as_json:
        rows = [{"key": r.key, "outcome": r.outcome, "note": r.note} for r in found.rows]
        said = {"instances": found.instances, "settings": found.settings, "start": found.start}
        s.print_json({**said, "report": rows, "applied": apply, "failed": failed})
        raise typer.Exit(1 if failed else 0)
    s.table(("KEY", "OUTCOME", "NOTE"), [(row.key, row.outcome, row.note) for row in found.rows])
    typer.echo("")
    if not apply:
        from llamactl.core.secrets.masking import masked

        typer.echo(yaml.safe_dump(masked({"instances": found.instances}), sort_keys=False))
        typer.echo("nothing was changed; use --apply to create these instances", err=True)
        return
    for name, why in failed.items():
        typer.echo(f"failed: {name}: {why}", err=True)
    typer.echo(f"created {len(found.instances) - len(failed)} instances")
    if found.start:
        typer.echo(
            f"to start the instances that were running: llamactl start {' '.join(found.start)}"
        )
    if failed:
        raise typer.Exit(1)
