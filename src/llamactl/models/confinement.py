"""What the settings let the API choose: programs, and files in certain folders.

The settings file is trusted; a definition that came by the API is bound.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.backends.model_rules import ModelRules
from llamactl.config import Settings
from llamactl.core.errors import ForbiddenBySettings, LlamactlError
from llamactl.core.instance import InstanceOptions, OptionValue, Resolve
from llamactl.core.model import part_names
from llamactl.core.secrets.masking import masked_text
from llamactl.models.served import of_folder, of_preset, of_preset_text
from llamactl.policy.definition.confinement import Meanings, NamedFile, fetched, files, programs

Options = Mapping[str, OptionValue]
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|file:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a field is refused."""

    field: str
    setting: str
    reason: str

    def __str__(self) -> str:
        return f"cannot use {self.field}: {self.reason}"


class Confinement:
    """Shared by all ways in, and asked again at each start: a link may lead elsewhere by then."""

    def __init__(self, settings: Callable[[], Settings], resolve: Resolve) -> None:
        self._settings = settings
        self._resolve = resolve

    async def check(self, options: InstanceOptions) -> None:
        """Raises ForbiddenBySettings."""
        found = await asyncio.to_thread(self.problems, options) if self.is_bound else []
        if found:
            raise _refused(found)

    def check_path(self, field: str, path: Path) -> None:
        """Of a file or folder that is read or written by itself; not for an event loop.

        Raises ForbiddenBySettings.
        """
        if found := self._outside(field, str(path)):
            raise _refused([found])

    @property
    def is_bound(self) -> bool:
        settings = self._settings()
        return not settings.allow_commands or bool(settings.model_roots)

    def problems(self, options: InstanceOptions) -> list[Problem]:
        """Reads links and folders, so not for an event loop."""
        named = [*self._named(options)] if self.is_bound else []
        rules = backend_of(options.backend_type).models
        found = [*self._own(options, named), *(self._of_routers(named, rules) if rules else ())]
        if self.is_bound and options.preset_ini and rules is not None:
            models = of_preset_text(options.preset_ini, rules)
            found += self._of_models("preset_ini", models)
        return found

    def _own(self, options: InstanceOptions, named: Sequence[NamedFile]) -> Iterator[Problem]:
        if not self._settings().allow_commands:
            for field in programs(options, _meanings(options)):
                yield Problem(
                    field, "allow_commands",
                    "allow_commands is off, so the API may not choose what is run; leave it out, "
                    "or set it in the server's settings",
                )  # fmt: skip
            if options.docker_enabled is False and self._settings().engine_of(options).in_container:
                yield Problem(
                    "docker_enabled", "allow_commands",
                    "allow_commands is off, so the API may not take an engine out of the container "
                    "that the settings ask for; leave it out",
                )  # fmt: skip
        if self._settings().model_roots:
            for field in fetched(options):
                yield Problem(
                    field, "model_roots",
                    "the engine would download it itself, to a folder outside model_roots; "
                    "download it with `llamactl models pull` and use its path",
                )  # fmt: skip
            for one in named:
                if outside := self._outside(one.field, one.path):
                    yield outside

    def _named(self, options: InstanceOptions) -> Iterator[NamedFile]:
        """With the file that a repository names, once it is downloaded."""
        given = options.backend_options
        yield from files(options, _meanings(options))
        with suppress(LlamactlError):
            served = self._resolve(given)
            for name in ("model", "mmproj"):
                path = served.get(name)
                if name not in given and isinstance(path, str):
                    yield NamedFile("hf_repo", name, path)

    def _of_routers(self, named: Sequence[NamedFile], rules: ModelRules) -> Iterator[Problem]:
        """What a file or a folder says to an engine of several models."""
        for one in named:
            models = _READ.get(one.option, _nothing)(one.path, rules)
            yield from self._of_models(one.field, models)

    def _of_models(self, field: str, models: Mapping[str, Options]) -> Iterator[Problem]:
        for model, given in models.items():
            own = InstanceOptions(backend_options=given)
            for found in self._own(own, [*files(own)]):
                yield replace(found, field=f"{field} ({model}: {found.field})")

    def _outside(self, field: str, path: str) -> Problem | None:
        roots = [os.path.realpath(root) for root in self._settings().roots]
        if not roots:
            return None
        shown = masked_text(path)
        if path.startswith("~") or _SCHEME.match(path) or not path:
            what = f"{shown!r} is not a plain path, which model_roots requires"
        elif all(any(_lies_in(part, root) for root in roots) for part in _parts(path)):
            return None
        else:
            what = f"{shown} is outside model_roots"
        return Problem(field, "model_roots", f"{what}; use a path in one of those folders")


def _meanings(options: InstanceOptions) -> Meanings:
    return backend_of(options.backend_type).meanings


def _nothing(*_: object) -> Mapping[str, Options]:
    return {}


_READ: Mapping[str, Callable[[str, ModelRules], Mapping[str, Options]]] = {
    "models_preset": of_preset,
    "models_dir": lambda folder, _: of_folder(folder),
}


def _refused(found: list[Problem]) -> ForbiddenBySettings:
    fields = [*dict.fromkeys(problem.field for problem in found)]
    said = "; ".join(dict.fromkeys(map(str, found)))
    return ForbiddenBySettings(said, fields)


def _parts(path: str) -> list[str]:
    """The files that an engine opens with it, if it is one of a split model."""
    folder, slash, name = path.rpartition("/")
    try:
        return [path, *(f"{folder}{slash}{part}" for part in part_names(name))]
    except ValueError:
        return [path]


def _lies_in(path: str, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(f"{root.rstrip('/')}/")
