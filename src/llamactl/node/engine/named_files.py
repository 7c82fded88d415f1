"""The files that an engine's options name: which of them can't be what the engine needs?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llamactl.backends import Backend, backend_of
from llamactl.core.errors import UnknownModel
from llamactl.core.exits import FailureClass
from llamactl.core.instance import InstanceOptions, OptionValue, Resolve
from llamactl.core.model import part_names


@dataclass(frozen=True, slots=True)
class BadFile:
    path: str
    failure: FailureClass
    advice: str  # in words that every key may see


async def replaced(options: InstanceOptions, resolve: Resolve, seconds: float) -> bool:
    """Did a file that the options name come, or change, within the last seconds?

    By the time of its inode, which every way of replacing a file sets, whatever its date says.
    """
    backend, now = backend_of(options.backend_type), time.time()

    def look() -> bool:
        given = options.backend_options
        with suppress(UnknownModel):  # not here yet
            given = resolve(given)
        return any(
            now - seconds <= changed <= now
            for name, path in _named(backend, given)
            if name in (backend.fields.models or backend.fields.paths)
            for changed in _changes(Path(path))
        )

    return await asyncio.to_thread(look)


def _changes(path: Path) -> Iterator[float]:
    """Unix seconds: of the file, of a link to it, and of its other parts."""
    with suppress(OSError, ValueError):
        for part in part_names(path.name):
            with suppress(OSError):
                file = path.with_name(part)
                yield file.lstat().st_ctime
                yield file.stat().st_ctime


def model_files(options: InstanceOptions) -> Iterator[str]:
    """Paths of what an engine reads its weights from: all parts of them, and what is in folders."""
    backend = backend_of(options.backend_type)
    for name, given in _named(backend, options.backend_options):
        if name in backend.fields.models:
            path = Path(given)
            with suppress(OSError, ValueError):
                if path.is_dir():
                    yield from map(str, sorted(path.glob("*.safetensors")))
                else:
                    yield from (str(path.with_name(part)) for part in part_names(path.name))


def bad_files(backend: Backend, options: Mapping[str, OptionValue]) -> Iterator[BadFile]:
    """What is wrong with them, the model's first. Reads the files' beginnings."""
    for name, path in _named(backend, options):
        yield from _faults(name, path, backend)


def check_model(backend: Backend, options: Mapping[str, OptionValue]) -> None:
    """Raises UnknownModel if a file of it is not there."""
    for bad in bad_files(backend, options):
        if bad.failure is FailureClass.MODEL_FILE_MISSING:
            raise UnknownModel(bad.advice)


def _named(backend: Backend, options: Mapping[str, OptionValue]) -> Iterator[tuple[str, str]]:
    """Options and paths, the model's first."""
    rules = backend.models
    given = options if rules is None else rules.given(options, (), {})
    for name in sorted(backend.fields.paths & given.keys(), key=lambda one: (one != "model", one)):
        value = given[name]
        for path in value if isinstance(value, list | tuple) else (value,):
            if isinstance(path, str) and path.startswith("/"):
                yield name, path


def _faults(name: str, given: str, backend: Backend) -> Iterator[BadFile]:
    path, is_model = Path(given), name in backend.fields.models
    magic = backend.models.magic if backend.models and is_model else b""
    what = "folder" if name in backend.fields.folders else "file"
    missing = FailureClass.MODEL_FILE_MISSING if is_model else FailureClass.BAD_OPTION
    invalid = FailureClass.MODEL_INVALID if is_model else FailureClass.BAD_OPTION
    try:
        if path.is_dir():
            if name not in backend.fields.folders:
                said = f"`{name}` is a folder; name a file in it"
                more = ", or give the folder as `models_dir`" if name == "model" else ""
                yield BadFile(given, invalid, said + more)
            return
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                advice = f"the file in `{name}` is not a GGUF file; download it again"
                yield BadFile(given, invalid, advice)
        yield from _parts(name, path, missing)
    except FileNotFoundError:
        advice = f"the {what} in `{name}` does not exist; correct its path"
        yield BadFile(given, missing, advice)
    except OSError as exc:
        advice = f"the {what} in `{name}` cannot be read ({exc.strerror}); check its permissions"
        yield BadFile(given, missing, advice)


def _parts(name: str, path: Path, missing: FailureClass) -> Iterator[BadFile]:
    try:
        names = part_names(path.name)
    except ValueError:
        return
    for number, part in enumerate(names, 1):
        if not path.with_name(part).exists():
            advice = f"part {number} of {len(names)} of the file in `{name}` is missing"
            yield BadFile(str(path), missing, f"{advice}; download it again")
