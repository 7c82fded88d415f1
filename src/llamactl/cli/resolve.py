"""From what somebody calls a model to an instance of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llamactl.cli.changes import change_options
from llamactl.cli.commands.models import follow
from llamactl.cli.files import absolute, catalogued, is_path, with_files
from llamactl.cli.options import options_of
from llamactl.core.errors import InstanceNotFound, InvalidRequest, LlamactlError
from llamactl.core.instance import nearest_name
from llamactl.core.model import without_part
from llamactl.models.naming import Reference, read_reference

if TYPE_CHECKING:
    from llamactl.cli.session import Session
    from llamactl.schemas.instances import InstanceBody
    from llamactl.schemas.models import ModelBody

_MOST = 1000  # names that are tried


@dataclass(frozen=True, slots=True)
class Found:
    """A model's file, and what an instance of it may be called: the first name that is free."""

    path: str
    names: tuple[str, ...]
    mmproj: str | None = None

    @property
    def body(self) -> dict[str, object]:
        return {"model": self.path, **({"mmproj": self.mmproj} if self.mmproj else {})}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says of the instance."""

    options: list[str] | None = None
    name: str | None = None
    allow_unknown: bool = False


def instance_for(s: Session, model: str, wanted: Wanted) -> tuple[str, bool]:
    """The name of the instance that has this name, or serves this model, and whether it is new.

    Raises LlamactlError.
    """
    if not wanted.name and not _is_file(model) and (known := _instance(s, model)) is not None:
        return _as_wanted(s, known, wanted), False
    return _instance_of(s, _inspected(s, find_model(s, model)), wanted)


def _as_wanted(s: Session, known: InstanceBody, wanted: Wanted) -> str:
    change_options(s, known, wanted.options, allow_unknown=wanted.allow_unknown)
    return known.name


def find_model(s: Session, model: str) -> Found:
    """By a path, a name in the catalogue, or one on the hub, from which it is downloaded.

    Raises LlamactlError.
    """
    if _is_file(model):
        return _file(s, Path(model).expanduser())
    body = catalogued(s, model)
    if body is None and Path(model).is_dir():
        return _file(s, Path(model))  # what is in it, the server says
    body = body or _fetched(s, model)
    return Found(body.path, (*_names_of(body),), body.mmproj)


def _is_file(model: str) -> bool:
    return is_path(model) or Path(model).is_file()


def _file(s: Session, file: Path) -> Found:
    """Raises LlamactlError where nothing is there; what is there the server looks at."""
    if s.is_local and not file.exists():
        raise LlamactlError(
            f"cannot run {file}: this file does not exist; check the path, or see "
            "`llamactl models ls`"
        )
    path = absolute(file)
    stem = without_part(path.stem)
    return Found(str(path), (stem, f"{stem}-{path.parent.name}"))


def _names_of(row: ModelBody) -> Iterator[str]:
    """By its repository, then by its tag."""
    short, tag = row.repo.partition("/")[2], row.name.rpartition(":")[2]
    if not short:
        yield row.name
        return
    yield short
    yield f"{short}-{tag}"
    yield f"{row.repo}-{tag}"


def _fetched(s: Session, model: str) -> ModelBody:
    """Raises LlamactlError."""
    wanted = _reference(model)
    typer.echo(f"downloading {wanted}", err=True)
    job = follow(s, s.client.models.download(model))
    models = s.client.models.list()
    by_path = [row for row in models if row.path == job.path]
    found = next(iter([*by_path, *(row for row in models if row.name == job.name)]), None)
    if found is None:
        raise LlamactlError(f"{job.name} was downloaded, but is not listed; retry")
    return found


def _reference(model: str) -> Reference:
    """Raises LlamactlError for what can't be one."""
    with suppress(InvalidRequest):
        wanted = read_reference(model)
        if not wanted.repo.endswith(".gguf"):
            return wanted
    raise LlamactlError(
        f"{model} is not an instance (`llamactl ps`), a local model (`llamactl models ls`) or "
        "a file; write models on the hub as org/repo or org/repo:quant"
    )


def _inspected(s: Session, found: Found) -> Found:
    """With its projector. Raises LlamactlError for what is not a model that can be run."""
    seen = s.client.models.inspect(found.path)
    if seen.kind != "model":
        what = {"mmproj": "a projector", "adapter": "a LoRA adapter"}.get(seen.kind, seen.kind)
        option = {"mmproj": "mmproj", "adapter": "lora"}.get(seen.kind, "its option")
        raise LlamactlError(
            f"cannot run {found.path}: it is {what}, which only works with a model; run the model "
            f"with -o {option}={found.path}"
        )
    return Found(seen.path, found.names, seen.mmproj or found.mmproj)


def _instance(s: Session, name: str) -> InstanceBody | None:
    try:
        return s.client.instances.get(name)
    except InstanceNotFound:
        return None
    except LlamactlError as exc:
        if exc.status != 404:  # noqa: PLR2004  what can't be a name
            raise
    return None


def _instance_of(s: Session, found: Found, wanted: Wanted) -> tuple[str, bool]:
    """An instance of this file, or a new one with the first name that no other has."""
    for name in [wanted.name] if wanted.name else _free_names(found):
        known = _instance(s, name)
        if known is None:
            body = {**found.body, **with_files(s, options_of(wanted.options))}
            s.client.instances.create(name, body, start=False, allow_unknown=wanted.allow_unknown)
            typer.echo(f"created instance {name}", err=True)
            return name, True
        if serves(known, found.path):
            return _as_wanted(s, known, wanted), False
        if wanted.name:
            raise LlamactlError(
                f"instance {name} already exists with a different model; choose another --name, "
                f"or run it as it is: llamactl run {name}"
            )
    raise LlamactlError(f"all names for {found.path} are in use; choose one with --name")


def serves(known: InstanceBody, path: str) -> bool:
    """Is it this file that the instance serves? Links to it count as well."""
    its = known.options["backend_options"].get("model")
    return isinstance(its, str) and (its == path or Path(its).resolve() == Path(path).resolve())


def _free_names(found: Found) -> Iterator[str]:
    names = [*dict.fromkeys(nearest_name(name).lower() for name in found.names)]
    yield from names
    for number in range(2, _MOST):
        yield f"{names[0]}-{number}"
