"""Files that options of an instance name, as the person at this machine means them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamactl.backends import Backend, backend_of
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.models.naming import fitting, read_reference

if TYPE_CHECKING:
    from llamactl.cli.session import Session
    from llamactl.schemas.models import ModelBody

_PATH = re.compile(r"~|\.{0,2}/|\.{1,2}\Z")


def with_files(s: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """With full paths, and the file of a model that is named as in the catalogue.

    Raises LlamactlError.
    """
    engine, kind = body.get("backend_options"), str(body.get("backend_type") or "")
    if isinstance(engine, Mapping):
        return {**body, "backend_options": _located(s, engine, kind)}
    return _located(s, body, kind)


def _located(s: Session, options: Mapping[str, Any], kind: str) -> dict[str, Any]:
    try:
        backend = backend_of(kind)
    except (KeyError, LlamactlError):  # the server says so
        return {**options}
    found: dict[str, Any] = {}
    mmproj: dict[str, Any] = {}  # where nobody names another
    for key, value in options.items():
        name = _option(backend, key)
        if name not in backend.fields.paths or not isinstance(value, str):
            found[key] = value
        elif name != "model" or backend.models is None or not backend.models.magic:
            found[key] = _full(s, value)
        else:
            found[key], mmproj = _model(s, value)
    return {**mmproj, **found}


def _option(backend: Backend, key: str) -> str:
    """By its one name."""
    try:
        return next(iter(backend.canonical({key: ""})))
    except LlamactlError:  # the server says so
        return key


def _model(s: Session, value: str) -> tuple[str, dict[str, Any]]:
    """Its path, and the option that names its projector."""
    path = _full(s, value)
    if path != value or is_path(value):
        if s.is_local and not value.startswith("/") and not Path(path).exists():
            raise LlamactlError(f"the model {value} does not exist here; check the path")
        return path, {}
    known = catalogued(s, value)
    if known is None:
        return value, {}
    return known.path, {"mmproj": known.mmproj} if known.mmproj else {}


def _full(s: Session, path: str) -> str:
    """Of a file that is here; the server may have been started in another folder."""
    file = Path(path).expanduser() if path.startswith("~") else Path(path)
    if s.is_local and not path.startswith("/") and file.exists():
        return str(absolute(file))
    return path


def is_path(model: str) -> bool:
    """Can it only be a path, whether something is there or not?"""
    if _PATH.match(model):
        return True
    return model.endswith(".gguf") and "/" in model and Path(Path(model).parts[0]).is_dir()


def absolute(file: Path) -> Path:
    """A link keeps its name: by it the other parts of a split model are found."""
    return file.parent.resolve() / file.name if file.name not in ("", "..") else file.resolve()


def catalogued(s: Session, model: str) -> ModelBody | None:
    """One that is on the server's machine already. Raises LlamactlError if several fit."""
    models, name = s.client.models.list(), model.lower()
    for row in models:
        if name in (row.name.lower(), row.path.lower(), row.path.rpartition("/")[2].lower()):
            return row
    try:
        wanted = read_reference(model)
    except InvalidRequest:
        return None
    fits = fitting(models, wanted)
    if len(fits) > 1:
        names = ", ".join(row.name for row in fits)
        raise LlamactlError(f"{model} matches several models: {names}; use one of these names")
    return fits[0] if fits else None
