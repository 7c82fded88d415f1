"""From what somebody calls a model to an instance of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llamactl.cli.commands.models import follow
from llamactl.cli.options import options_of
from llamactl.core.errors import InstanceNotFound, LlamactlError

if TYPE_CHECKING:
    from llamactl.cli.session import Session
    from llamactl.schemas.models import ModelBody


def instance_for(s: Session, model: str, options: list[str] | None) -> str:
    """The name of the instance that has this name, or was made of this model."""
    if not model.endswith(".gguf"):
        try:
            return s.client.instances.get(model).name
        except InstanceNotFound:
            pass
        except LlamactlError as exc:
            if exc.status != 404:  # noqa: PLR2004
                raise
    file = Path(model).expanduser()
    if file.is_file():
        return _made(s, _name(file.stem), {"model": str(file.resolve())}, options)
    found = _local(s, model) or _fetched(s, model)
    body: dict[str, object] = {"model": found.path}
    if found.mmproj:
        body["mmproj"] = found.mmproj
    return _made(s, _name(found.repo.partition("/")[2] or found.name), body, options)


def _local(s: Session, model: str) -> ModelBody | None:
    """One that is on the server's machine already."""
    wanted = model.lower()
    models = s.client.models.list()
    fits = [m for m in models if m.name.lower() == wanted] or [
        m for m in models if m.repo.lower() == wanted
    ]
    return fits[0] if fits else None


def _fetched(s: Session, model: str) -> ModelBody:
    """Raises LlamactlError."""
    if "/" not in model or (model.endswith(".gguf") and model.count("/") < 2):  # noqa: PLR2004
        raise LlamactlError(
            f"{model} is not an instance (`llamactl ps`), a local model (`llamactl models ls`) or "
            "a file; write models on the hub as org/repo or org/repo:quant"
        )
    typer.echo(f"downloading {model}", err=True)
    job = follow(s, s.client.models.download(model))
    return next(m for m in s.client.models.list() if m.path == job.path or m.name == job.name)


def _made(s: Session, name: str, body: dict[str, object], options: list[str] | None) -> str:
    try:
        known = s.client.instances.get(name)
    except InstanceNotFound:
        s.client.instances.create(name, {**body, **options_of(options)}, start=False)
        typer.echo(f"created instance {name}", err=True)
        return name
    if known.options["backend_options"].get("model") != body.get("model"):
        raise LlamactlError(
            f"instance {name} already exists with a different model; run it as {name}, or remove it"
        )
    return known.name


def _name(stem: str) -> str:
    """A name that an instance may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._").lower()[:128] or "model"
