"""`llamactl requests` and `llamactl cancel`: the request log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from llamactl.cli.complete import instance_names
from llamactl.cli.guide.examples import examples
from llamactl.cli.session import Session, command, inert

if TYPE_CHECKING:
    from llamactl.schemas.requests import RequestBody

_COLUMNS = ("AT", "STATUS", "INSTANCE", "KEY", "TOOK", "QUEUE", "FIRST", "TOKENS", "ID", "NOTE")
_WIDTHS = (8, 9, 20, 12, 7, 7, 7, 11, 0)  # of lines that are followed
_MINUTE = 60.0


@command
@examples("llamactl requests", "llamactl requests -f", "llamactl requests --slowest -n 5")
def requests(
    s: Session,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new ones, until Ctrl-C.")
    ] = False,
    number: Annotated[
        int, typer.Option("-n", "--number", help="Number of ended requests.", min=1, max=2000)
    ] = 30,
    instance: Annotated[
        str | None,
        typer.Option("--instance", help="Only of this one.", autocompletion=instance_names),
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only with this key.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed ones.")] = False,
    slowest: Annotated[bool, typer.Option("--slowest", help="The slowest first.")] = False,
) -> None:
    """Show the requests that run, and the last ones that have ended."""
    of = s.client.requests
    most = 2000 if slowest else number
    log = of.list(limit=most, instance=instance, key=key, failed=failed)
    rows = log.ended
    if slowest:
        rows = sorted(rows, key=lambda row: -row.duration_s)[:number]
    if s.as_json and not follow:
        s.print_json(log.model_copy(update={"ended": rows}))
        return
    if not s.as_json:
        s.table(_COLUMNS, map(_cells, [*rows, *log.running] if not slowest else rows))
    if follow:
        try:
            later = of.follow(after=log.newest, instance=instance, key=key, failed=failed)
            _print_each(s, later)
        except KeyboardInterrupt:
            return


@command
@examples("llamactl cancel 5f0c2e8d9a41-1c")
def cancel(
    s: Session,
    request: Annotated[str, typer.Argument(help="ID, as `llamactl requests` shows it.")],
) -> None:
    """Cancel a request that runs or waits. Its client gets an error."""
    count = s.client.requests.cancel(request)
    if s.as_json:
        s.print_json({"cancelled": count})
    else:
        typer.echo("cancelled" if count == 1 else f"{count} cancelled")


def _print_each(s: Session, rows: Iterable[RequestBody]) -> None:
    for row in rows:
        if s.as_json:
            typer.echo(row.model_dump_json())
            continue
        cells = zip(_cells(row), (*_WIDTHS, 0), strict=True)
        line = "  ".join(f"{inert(cell) or '-':<{width}}" for cell, width in cells)
        typer.echo(line.rstrip())


def _cells(row: RequestBody) -> Sequence[str]:
    tokens = f"{row.prompt_tokens}+{row.generated_tokens}"
    return (
        time.strftime("%H:%M:%S", time.localtime(row.at)),
        _status(row),
        row.instance,
        row.key or row.sender,
        seconds(row.duration_s),
        seconds(row.queue_s) if row.queue_s else "",
        "" if row.first_token_s is None else seconds(row.first_token_s),
        tokens if row.prompt_tokens or row.generated_tokens else "",
        row.id,
        _note(row),
    )


def _status(row: RequestBody) -> str:
    if row.stage != "over":
        return row.stage
    return str(row.status or "") + ("" if row.complete else " cut")


def _note(row: RequestBody) -> str:
    where = f"{row.method} {row.path}"
    return f"{row.reason} ({row.code}), {where}" if row.code else where


def seconds(value: float) -> str:
    """For people: 12 ms, 3.4 s, 2m05s."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < _MINUTE:
        return f"{value:.1f} s"
    return f"{value // _MINUTE:.0f}m{value % _MINUTE:02.0f}s"
