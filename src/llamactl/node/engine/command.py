"""From an instance to the command that serves it: which engine, argv, environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llamactl.backends import Backend, Kind
from llamactl.backends.contract import Start
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings
from llamactl.core.secrets.masking import MASK, masked
from llamactl.node.engine.builds import Build, EngineBuilds
from llamactl.node.host.processor import instruction_sets
from llamactl.policy.definition.unknown import unknown

_MARK = "LLAMACTL_PROCESS_KEY"
# Isolated and without site-packages: it takes some 10 ms.
_TIED = (sys.executable, "-I", "-S", str(Path(__file__).parents[1] / "process/die_with_parent.py"))

# What an engine needs of our environment; everything else, keys above all, stays with us.
_ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR",
    "LD_LIBRARY_PATH", "DYLD_*", "CUDA_*", "NVIDIA_*", "HIP_*", "ROCR_*", "HSA_*", "GGML_*",
    "VK_*", "ONEAPI_*", "SYCL_*", "OMP_*", "OPENBLAS_*", "MKL_*", "XDG_CACHE_HOME", "HF_HOME",
    "HF_ENDPOINT", "HF_HUB_*", "PYTHONPATH", "VIRTUAL_ENV", "http_proxy", "https_proxy",
    "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE",
)  # fmt: skip


def tied_to_us() -> list[str]:
    """Before a command that the kernel is to end with us."""
    return [*_TIED, str(os.getpid())]


@dataclass(frozen=True, slots=True)
class Engine:
    argv: tuple[str, ...]
    label: str  # for people
    advice: str = ""  # how to have a better one


def find_engine(
    kind: Kind, settings: EngineSettings, builds: EngineBuilds, program: str | None = None
) -> Engine:
    """The configured engine; if none is, one built here, one installed, or the built-in one.

    `program`: an instance's own. Raises EngineMissing for a command that was asked for and can't
    be found.
    """
    built_in = kind.built_in
    command = program or settings.command
    asked_for = program is not None or settings.command_given
    if not asked_for and isinstance(build := builds.serving(kind), Build):
        return Engine((str(build.program),), build.label)
    found = shutil.which(command)
    if found is not None:
        return Engine((found,), found)
    if built_in is None:
        raise EngineMissing(
            f"cannot run the engine's command: {masked(command)!r} was not found; install it, "
            "or correct the command"
        )
    if command != kind.settings.command:
        raise EngineMissing(
            f"the engine's command {masked(command)!r} was not found; install it, correct "
            f"backends.{kind.section}.command, or remove that setting to use the built-in engine"
        )
    try:
        known = version(built_in.package)
    except PackageNotFoundError as exc:
        raise EngineMissing(
            f"neither {command} nor the {built_in.package} package is installed"
        ) from exc
    label = f"{built_in.label} ({built_in.package} {known})"
    return Engine((sys.executable, "-m", built_in.module), label, _advice(kind, builds))


def _advice(kind: Kind, builds: EngineBuilds) -> str:
    """`kind`: one whose built-in engine serves."""
    if unfit := builds.serving(kind):
        return f"{unfit}; `llamactl engine build` builds it for this processor"
    unused = kind.built_in.unused if kind.built_in else {}
    gains = [gain for name, gain in unused.items() if name in instruction_sets()]
    if not gains:
        return ""
    return (
        f"this processor has {gains[-1].name}: an engine that uses it reads prompts "
        f"{gains[-1].times} times as fast; `llamactl engine build` builds one"
    )


def engine_of(
    backend: Backend, settings: EngineSettings, builds: EngineBuilds, options: InstanceOptions
) -> Engine:
    """The one that serves an instance. Raises EngineMissing."""
    return find_engine(
        backend.kind, settings, builds, program_of(backend, settings, options) or None
    )


def program_of(backend: Backend, settings: EngineSettings, options: InstanceOptions) -> str:
    """The one that the instance names, and not the settings; "" if it names none."""
    own = options.command_override or backend.program(settings, options.backend_options)
    return own if options.command_override or own != settings.command else ""


@dataclass(frozen=True, slots=True)
class Command:
    argv: list[str]
    environment: Mapping[str, str]
    shown: tuple[str, ...]  # the argv, secrets masked
    warning: str = ""


def command_of(
    backend: Backend, engine: Engine, start: Start, environ: Mapping[str, str], *, tied: bool
) -> Command:
    """`tied`: it ends with llamactl. Raises InvalidOption."""
    given, key = backend.launch(start), start.key
    tie = tied_to_us() if tied else []
    argv = [*tie, *engine.argv, *given.words]
    shown = masked([word.replace(key, MASK) for word in argv])
    environment = {**_inherited(environ, backend.not_inherited), **given.environment}
    if key not in environment.values():  # which identifies what it forks
        environment[_MARK] = key
    return Command(argv, environment, tuple(shown), _warning(start))


def _warning(start: Start) -> str:
    """Of options that the engine may refuse; it is started with them all the same."""
    names = unknown(start.options.keys(), start.known)
    return f"the engine's help does not list {', '.join(names)}" if names else ""


def surroundings(settings: EngineSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """What every process of this engine has as its environment."""
    return {**_inherited(environ), **settings.environment}


def _inherited(environ: Mapping[str, str], without: Collection[str] = ()) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name not in without and any(fnmatchcase(name, pattern) for pattern in _ALLOWED)
    }
