"""`llamactl` without a command: where the server is, what runs, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from llamactl import __version__
from llamactl.cli.session import Session, inert
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.client import Client
    from llamactl.schemas.instances import InstanceBody
    from llamactl.schemas.system import HealthBody, SystemBody

_WAIT_S = 2.0  # for a server that may not answer
_MOST = 8  # instances that are shown
_REFUSED = (401, 403)
_ORDER = ("failed", "starting", "restarting", "running", "stopping", "asleep", "stopped")
Step = tuple[str, str]  # a command, and what it does


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself and its instances."""

    url: str
    health: HealthBody
    about: SystemBody
    rows: Sequence[InstanceBody]

    @property
    def headline(self) -> str:
        faults = f" ({', '.join(self.health.degraded)})" if self.health.degraded else ""
        return f"llamactl {self.about.version} at {self.url}: {self.health.status}{faults}"


def state_of(client: Client) -> ServerState:
    """Raises LlamactlError."""
    return ServerState(client.url, client.health(), client.system(), client.instances.list())


def overview() -> None:
    """Starts nothing, and never fails: a missing server is also reported."""
    s = Session(os.environ.get("LLAMACTL_URL"), None, None, as_json=False)
    for line in _lines(s):
        typer.echo(line)


def _lines(s: Session) -> Iterator[str]:
    try:
        seen = _seen(s)
        if seen is None:
            yield f"llamactl {__version__}: no server is running (data in {s.settings.data})"
            steps = [
                ("llamactl run MODEL", "start a server, and chat with a model"),
                ("llamactl serve", "start a server, until Ctrl-C"),
            ]
        else:
            yield seen.headline
            yield from _instances(seen.rows)
            steps = [*_next(seen)]
    except LlamactlError as exc:
        yield f"llamactl {__version__}: {inert(exc.message)}"
        steps = [*_after(exc, s)]
    steps.append(("llamactl --help", "all commands"))
    width = max(len(step) for step, _ in steps)
    yield from ("", "Next:", *(f"  {step:<{width}}  {what}" for step, what in steps))


def _seen(s: Session) -> ServerState | None:
    """None if no server runs on this machine. Raises LlamactlError."""
    from llamactl.client import ServerUnreachable

    if not s.known_url:
        return None
    asked = s.client_within(_WAIT_S)
    try:
        with asked as client:
            return state_of(client)
    except ServerUnreachable as exc:
        if s.is_local and not exc.details["sent"]:  # another process has its number
            return None
        raise
    except LlamactlError as exc:
        exc.message = f"the server at {asked.url} answered: {exc.message}"
        raise


def _instances(rows: Sequence[InstanceBody]) -> Iterator[str]:
    if not rows:
        yield "No instances yet."
        return
    rows = sorted(rows, key=lambda row: (_ORDER.index(row.status), row.name))
    width = max(len(row.name) for row in rows[:_MOST])
    for row in rows[:_MOST]:
        yield f"  {inert(row.name):<{width}}  {row.status}"
    if len(rows) > _MOST:
        yield f"  and {len(rows) - _MOST} more; see `llamactl ps`"


def _next(seen: ServerState) -> Iterator[Step]:
    if seen.health.status != "ok":
        yield "llamactl doctor", "what does not work, and what to do"
    if not seen.rows:
        yield "llamactl run MODEL", "chat with a model, from a file or the hub"
        yield "llamactl create NAME model=FILE", "create an instance from a file"
        return
    if failed := min((row.name for row in seen.rows if row.status == "failed"), default=""):
        yield f"llamactl show {inert(failed)}", "why it failed"
        yield f"llamactl logs {inert(failed)}", "the log of its engine"
        return
    defined = [row for row in seen.rows if not row.replica_of] or seen.rows
    name = min(defined, key=lambda row: (row.status != "running", row.name)).name
    yield f"llamactl run {inert(name)}", "chat with it"
    yield "llamactl top", "a live view of the instances"


def _after(exc: LlamactlError, s: Session) -> Iterator[Step]:
    if exc.status in _REFUSED:
        yield "export LLAMACTL_API_KEY=KEY", "use a management key of this server"
    elif not s.is_local:
        yield "unset LLAMACTL_URL", "use the server on this machine"
    else:
        yield "llamactl doctor", "check the installation"
