"""`llamactl upgrade`, `backup`, `restore`, `doctor`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from llamactl.cli.call import DataDir, Server
from llamactl.config import Settings, load
from llamactl.core.errors import InvalidConfig

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")]
_MARKS = {"ok": "ok     ", "warning": "warning", "failure": "FAILURE"}


def upgrade(data_dir: DataDir = None) -> None:
    """Have a process of the installed version take over from the one that serves."""
    pid = Server(data_dir).ask("POST", "/api/v1/upgrade")["pid"]
    typer.echo(f"pid {pid} serves now; what was under way is relayed to its end")


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy of the store.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Copy the store, also while llamactl serves."""
    from llamactl.maintenance import backup as copy

    copy(_settings(config, data_dir), file)
    typer.echo(f"wrote {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `backup` wrote.", exists=True)],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Put a copy of the store back. llamactl and its engines must not run."""
    from llamactl.maintenance import restore as put_back

    kept = put_back(_settings(config, data_dir), file)
    typer.echo(f"restored {file}; what was there before is kept as {kept}")


def doctor(
    config: Config = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
) -> None:
    """Examine the installation; exit code 1 if something must be done."""
    from llamactl.maintenance import Finding, Level, examine

    try:
        settings = _settings(config, data_dir)
    except InvalidConfig as exc:
        found = [Finding(Level.FAILURE, "settings", exc.message, "see docs/settings.md")]
    else:
        found = [Finding(Level.OK, "settings", "valid"), *examine(settings)]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            advice = f"\n         -> {finding.advice}" if finding.advice else ""
            typer.echo(f"{_MARKS[finding.level]}  {finding.about}: {finding.said}{advice}")
    if any(finding.level is Level.FAILURE for finding in found):
        raise typer.Exit(1)


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    flags: dict[str, Any] = {} if data_dir is None else {"data_dir": str(data_dir)}
    return load(os.environ, path=config, flags=flags).settings
