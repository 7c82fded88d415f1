"""`llamactl status` and `metrics`: health and metrics of the server."""

from __future__ import annotations

from collections import Counter

import typer

from llamactl.cli.session import Session, command


@command
def status(s: Session) -> None:
    """Show the server's address, health and instances. Exit code 1 if it is degraded."""
    health, rows = s.client.health(), s.client.instances.list()
    about = s.client.system()
    version = about.version
    counts = Counter(row.status for row in rows)
    if s.as_json:
        said = {"url": s.client.url, "version": version, "health": health}
        s.print_json({**said, "system": about, "instances": counts})
    else:
        faults = f" ({', '.join(health.degraded)})" if health.degraded else ""
        typer.echo(f"llamactl {version} at {s.client.url}: {health.status}{faults}")
        typer.echo(f"engine: {about.engine}")
        said_counts = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        typer.echo(f"instances: {said_counts or 'none'}")
    if health.status != "ok":
        raise typer.Exit(1)


@command
def metrics(s: Session) -> None:
    """Print metrics of the server and its engines, in Prometheus text format."""
    typer.echo(s.client.metrics(), nl=False)
