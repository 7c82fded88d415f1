"""`llamactl models`: the files of this machine, and how others come."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from llamactl.cli.complete import model_names
from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.loading import Progress, downloaded
from llamactl.cli.session import Session, command, size, span
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.schemas.models import JobBody

commands = group("Manage model files.")
_FIRST_LINE_S = 15.0  # of progress, where there is no terminal
Name = Annotated[
    str, typer.Argument(help="Model name from `models ls`.", autocompletion=model_names)
]


@commands.command("ls")
@command
@examples("llamactl models ls")
def list_(s: Session) -> None:
    """List the models on the server's machine."""
    rows = s.client.models.list()
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("NAME", "SIZE", "AGE", "USED BY"),
        [
            (row.name, size(row.size), span(time.time() - row.modified), ", ".join(row.used_by))
            for row in rows
        ],
    )


@commands.command()
@command
@examples("llamactl models pull ggml-org/gemma-3-1b-it-GGUF:Q4_K_M")
def pull(
    s: Session,
    model: Annotated[str, typer.Argument(help="org/repo, org/repo:quant or org/repo/file.gguf")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return immediately.")] = False,
) -> None:
    """Download a model from the hub. After Ctrl-C the server continues the download."""
    job = s.client.models.download(model)
    if not no_wait:
        job = follow(s, job)
    if s.as_json:
        s.print_json(job)
    elif no_wait:
        typer.echo(f"{job.id}  {job.state}")
    else:
        typer.echo(job.name)


@commands.command()
@command
@examples("llamactl models jobs", "llamactl models jobs --pause JOB_ID")
def jobs(
    s: Session,
    cancel: Annotated[
        str | None,
        typer.Option(help="Cancel the download with this ID, or remove it if it has ended."),
    ] = None,
    pause: Annotated[str | None, typer.Option(help="Pause the download with this ID.")] = None,
    resume: Annotated[str | None, typer.Option(help="Resume the download with this ID.")] = None,
) -> None:
    """List the downloads."""
    if cancel is not None:
        s.client.models.cancel(cancel)
        return
    if pause is not None:
        s.client.models.pause(pause)
    if resume is not None:
        s.client.models.resume(resume)
    rows = s.client.models.jobs()
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("ID", "MODEL", "STATE", "DONE", "OF", "LEFT", "NOTE"),
        [
            (row.id, row.name or row.model, row.state, size(row.done), size(row.total),
             row.left_s and span(row.left_s), row.error or row.warning)
            for row in rows
        ],
    )  # fmt: skip


@commands.command()
@command
@examples("llamactl models starters")
def starters(s: Session) -> None:
    """List good first models, the most suitable for the machine first."""
    rows = s.client.models.starters()
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("NAME", "DOWNLOAD", "MEMORY", "FITS", "LICENCE", "RELEASED", "MODEL"),
        [
            (row.name, size(row.size) if row.size else "?",
             size(row.memory) if row.memory else "?",
             _fits(row.fits) + (", slow" if row.slow and row.fits in ("yes", "tight") else ""),
             row.license, row.released, row.model)
            for row in rows
        ],
    )  # fmt: skip
    typer.echo("Download one with `llamactl models pull MODEL`.", err=True)


@commands.command()
@command
@examples("llamactl models search gemma", "llamactl models search ggml-org/gemma-3-1b-it-GGUF")
def search(
    s: Session,
    words: Annotated[str, typer.Argument(help="Search words, or org/repo to list its files.")],
) -> None:
    """Search for models on the hub."""
    if "/" in words:
        seen = s.client.models.repository(words)
        if s.as_json:
            s.print_json(seen)
        else:
            s.table(
                ("QUANT", "SIZE", "FITS", "FILE", "NOTE"),
                [
                    (row.quant, size(row.size), _fits(row.fit), row.file,
                     f"recommended: {row.reason}" if row.recommended else "")
                    for row in seen.choices
                ],
            )  # fmt: skip
            typer.echo(
                f"Licence: {seen.license or 'unknown'}. Changed: {_day(seen.modified) or '?'}.",
                err=True,
            )
        return
    rows = s.client.models.search(words)
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("REPOSITORY", "DOWNLOADS", "LIKES", "LICENCE", "CHANGED", "NOTE"),
        [
            (row.repo, row.downloads, row.likes, row.license, _day(row.modified),
             "gated" if row.gated else "")
            for row in rows
        ],
    )  # fmt: skip


def _fits(fit: str | None) -> str:
    return "?" if fit is None else fit


def _day(modified: float | None) -> str:
    return "" if modified is None else f"{datetime.fromtimestamp(modified, UTC):%Y-%m-%d}"


@commands.command("rm")
@command
@examples("llamactl models rm ggml-org/gemma-3-1b-it-GGUF:Q4_K_M")
def remove(s: Session, model: Name) -> None:
    """Delete a model's files."""
    s.client.models.delete(model)
    if not s.as_json:
        typer.echo(f"{model}  removed")


@commands.command()
@command
@examples("llamactl models inspect ggml-org/gemma-3-1b-it-GGUF:Q4_K_M -c 8192")
def inspect(
    s: Session,
    model: Name,
    ctx_size: Annotated[
        int | None,
        typer.Option("--ctx-size", "-c", help="Context size to calculate memory for.", min=1),
    ] = None,
) -> None:
    """Show the metadata of a model file and the memory it needs."""
    seen = s.client.models.inspect(model, ctx_size=ctx_size)
    if s.as_json:
        s.print_json(seen)
        return
    fits = {True: "fits", False: "does not fit", None: "unknown if it fits"}
    memory = seen.memory
    for what, value in (
        ("name", seen.name), ("file", seen.path), ("kind", seen.kind),
        ("architecture", seen.architecture), ("parameters", f"{seen.parameters / 1e6:,.0f} M"),
        ("quantization", seen.quantization), ("size", size(seen.size)), ("parts", seen.parts),
        ("context", seen.context_length), ("layers", seen.layers), ("heads", seen.heads),
        ("vocabulary", seen.vocabulary), ("tokenizer", seen.tokenizer),
        ("chat template", "yes" if seen.chat_template else "no"), ("mmproj", seen.mmproj),
        ("license", seen.license),
        ("memory", f"{size(memory.ram + memory.shared + sum(memory.gpus.values()))} for a context "
        f"of {memory.ctx_size}, {fits[memory.fits]}"),
    ):  # fmt: skip
        typer.echo(f"{what + ':':<15}{'-' if value in (None, '') else value}")


def follow(s: Session, job: JobBody) -> JobBody:
    """Show the progress; returns the finished job. Raises LlamactlError if it fails."""
    told, last, progress = "", job, Progress(_FIRST_LINE_S)
    try:
        with closing(s.client.models.follow(job.id)) as states:
            for last in states:
                if last.warning and last.warning != told:
                    told = last.warning
                    typer.echo(f"warning: {told}", err=True)
                progress.say(f"{last.name or last.model}: {downloaded(last)}")
    finally:
        progress.end(keep=True)
    if last.state != "done":
        raise LlamactlError(last.error or f"the download is {last.state}")
    return last
