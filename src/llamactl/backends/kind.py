"""A kind of engine: its names, how it is found and asked, and what can be had in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

USUAL_S = 30.0


@dataclass(frozen=True, slots=True)
class Questions:
    """The flags to which an engine's command answers about itself; "": it has none."""

    help: str = "--help"
    version: str = ""
    devices: str = ""
    limit_s: float = USUAL_S  # seconds that an answer may take

    @property
    def is_slow(self) -> bool:
        return self.limit_s > USUAL_S


@dataclass(frozen=True, slots=True)
class Gain:
    """Of an engine that uses an instruction set, beside one that doesn't."""

    name: str  # of the instruction set, for people
    times: str  # as many prompt tokens a second, as measured


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an engine is built from source, with CMake."""

    source: Path  # a pip requirements file: one source distribution, by its hash
    tree: str  # the source code in it
    program: str  # the CMake target
    options: tuple[str, ...]  # for CMake


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """What serves where the default command is not installed: a module of ours."""

    module: str
    package: str  # the distribution that it needs
    label: str
    # instruction sets that it was not built for, as the kernel names them
    unused: Mapping[str, Gain] = field(default_factory=dict)
    better: Recipe | None = None  # of an engine that uses them


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of engine: its names, its section of the settings, how it is found and asked."""

    type: str  # `backend_type` of its instances
    section: str  # in the settings, below /api/v1/backends, and for `--backend`
    variable: str  # in `LLAMACTL_…_COMMAND`
    title: str
    make_settings: Callable[[], BackendSettings]  # imported late: pydantic is slow
    programs: tuple[str, ...] = ()  # names of its executables
    questions: Questions = Questions()
    built_in: BuiltIn | None = None
    package: str = ""  # the Python package that it comes from, as its metadata folder is named
    # How to have a build that uses a GPU, by the GPU's maker.
    for_gpu: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> BackendSettings:
        """Where nobody gives any."""
        return self.make_settings()
