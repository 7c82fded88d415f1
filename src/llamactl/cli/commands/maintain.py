"""The server itself: `llamactl status`, `metrics`, `upgrade`, `backup`, `doctor` and the like."""

from __future__ import annotations

import json
import os
import select
import signal
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.overview import state_of
from llamactl.cli.session import AsJson, Config, DataDir, Session, command, settings_of, span
from llamactl.core.errors import InvalidConfig, LlamactlError

_MARGIN_S = 60.0  # for what a server does once its instances have stopped
_MARKS = {"ok": "ok     ", "warning": "warning", "failure": "FAILURE"}


@command
@examples("llamactl status", "llamactl status --json")
def status(s: Session) -> None:
    """Show the server's address, health and instances. Exit code 1 if it is degraded."""
    seen = state_of(s.client)
    counts = Counter(row.status for row in seen.rows)
    if s.as_json:
        said = {"url": seen.url, "version": seen.about.version, "health": seen.health}
        s.print_json({**said, "system": seen.about, "instances": counts})
    else:
        typer.echo(seen.headline)
        typer.echo(f"engine: {seen.about.engine}")
        said_counts = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        typer.echo(f"instances: {said_counts or 'none'}")
    if seen.health.status != "ok":
        raise typer.Exit(1)


@command
@examples("llamactl metrics")
def metrics(s: Session) -> None:
    """Print the metrics of the server and its engines, for Prometheus."""
    typer.echo(s.client.metrics(), nl=False)


@command
@examples("llamactl upgrade")
def upgrade(s: Session) -> None:
    """Replace the running llamactl with the installed version."""
    pid = s.client.upgrade().pid
    if s.as_json:
        s.print_json({"pid": pid})
    else:
        typer.echo(f"pid {pid} is now serving; running requests are completed")


@command
@examples("llamactl shutdown", "llamactl shutdown --force")
def shutdown(
    s: Session,
    force: Annotated[bool, typer.Option("--force", help="Abort running requests.")] = False,
) -> None:
    """Stop the server on this machine, and its instances. Running requests are finished first."""
    if not s.is_local:
        raise LlamactlError(
            "cannot stop a server by its address; use this command without --url or LLAMACTL_URL "
            "on the server's machine"
        )
    pid, longest = s.client.system().pid, _longest_stop(s)
    try:
        ended = os.pidfd_open(pid)
        signal.pidfd_send_signal(ended, signal.SIGINT)
        if force:
            # any second signal cuts; two of one kind may arrive as one
            signal.pidfd_send_signal(ended, signal.SIGTERM)
    except PermissionError as exc:
        raise LlamactlError(
            f"cannot stop llamactl (pid {pid}): it belongs to another user; retry as that user"
        ) from exc
    except ProcessLookupError:
        pass
    else:
        stopped, _, _ = select.select([ended], [], [], longest)
        os.close(ended)
        if not stopped:
            raise LlamactlError(
                f"llamactl (pid {pid}) was asked to stop, and still runs after {span(longest)}; "
                "see its log, or use --force to abort running requests"
            )
    typer.echo(json.dumps({"pid": pid}) if s.as_json else f"llamactl (pid {pid}) has stopped")


def _longest_stop(s: Session) -> float:
    """Seconds, by the settings of the server."""
    now = {row.key: row.value for row in s.client.config.settings()}
    drain = max(now["instances.drain_timeout"], now["instances.eviction_drain_timeout"])
    return float(drain + now["instances.stop_timeout"] + _MARGIN_S)


@examples("llamactl backup llamactl-copy.db")
def backup(
    file: Annotated[Path, typer.Argument(help="File to write the copy to.")],
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store. Works while llamactl is running."""
    from llamactl.maintenance import backup as copy

    copy(settings_of(config, data_dir), file)
    typer.echo(json.dumps({"file": str(file)}) if as_json else f"wrote {file}")


@examples("llamactl restore llamactl-copy.db")
def restore(
    file: Annotated[Path, typer.Argument(help="A copy written by `backup`.", exists=True)],
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Restore a copy of the store. llamactl and its engines must not be running."""
    from llamactl.maintenance import restore as put_back

    kept = put_back(settings_of(config, data_dir), file)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "kept": str(kept)}))
    else:
        typer.echo(f"restored {file}; the previous store is kept as {kept}")


@examples("llamactl doctor")
def doctor(
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation. Exit code 1 if something must be fixed."""
    from llamactl.maintenance import Finding, Level, examine

    try:
        settings = settings_of(config, data_dir)
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
