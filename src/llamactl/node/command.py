"""From an instance to the command that serves it: which engine, argv, environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llamactl.backends import Backend
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.core.node import EngineSettings
from llamactl.core.secrets import masked
from llamactl.node.ports import LOOPBACK

BUILT_IN = (sys.executable, "-m", "llamactl.engine")
_DEFAULT = "llama-server"
# Isolated and without site-packages: it takes some 10 ms.
_TIED = (sys.executable, "-I", "-S", str(Path(__file__).with_name("die_with_parent.py")))

# What an engine needs of our environment; everything else, keys above all, stays with us.
_ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR",
    "LD_LIBRARY_PATH", "DYLD_*", "CUDA_*", "NVIDIA_*", "HIP_*", "ROCR_*", "HSA_*", "GGML_*",
    "VK_*", "ONEAPI_*", "SYCL_*", "OMP_*", "OPENBLAS_*", "MKL_*", "XDG_CACHE_HOME", "HF_HOME",
    "HF_ENDPOINT", "HF_HUB_*", "PYTHONPATH", "VIRTUAL_ENV", "http_proxy", "https_proxy",
    "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Engine:
    argv: tuple[str, ...]
    label: str  # for people


def find_engine(settings: EngineSettings, override: str = "") -> Engine:
    """The configured engine, or the built-in one when none is configured or installed.

    Raises EngineMissing for a command that was asked for and can't be found.
    """
    command = override or settings.command
    found = shutil.which(command)
    if found is not None:
        return Engine((found,), found)
    if command != _DEFAULT:
        raise EngineMissing(
            f"the engine's command {masked(command)!r} was not found; install it, correct "
            "backends.llama-cpp.command, or remove that setting to use the built-in engine"
        )
    try:
        built_in = version("xllamacpp")
    except PackageNotFoundError as exc:
        raise EngineMissing("neither llama-server nor the xllamacpp package is installed") from exc
    return Engine(BUILT_IN, f"built-in llama.cpp (xllamacpp {built_in})")


@dataclass(frozen=True, slots=True)
class Command:
    """Anybody on this machine can read an argv, only its owner an environment."""

    argv: list[str]
    secrets: Mapping[str, str]  # which the engine reads from its environment


def command_of(
    backend: Backend, engine: Engine, settings: EngineSettings, name: str,
    given: InstanceOptions, port: int,
) -> Command:  # fmt: skip
    """`name`: of the instance."""
    options = {k: v for k, v in given.backend_options.items() if k != "port"}
    defaults = {k: v for k, v in backend.defaults.items() if k not in options}
    ours = ["--host", LOOPBACK, "--port", str(port)]
    theirs = [*settings.args, *settings.environment, *given.environment]
    tie = [*_TIED, str(os.getpid())] if given.die_with_parent else []
    words = [
        *backend.render(defaults),
        *backend.name_flags(name, options, theirs),
        *settings.args,
        *backend.render(options),
    ]
    kept, hidden = _without_secrets(words, backend.secret_variables)
    return Command([*tie, *engine.argv, *kept, *ours], hidden)


def _without_secrets(
    words: Sequence[str], variables: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """`variables`: by flag, where the engine reads the same from; what comes last counts."""
    given: list[tuple[Sequence[str], str, str]] = []  # words, variable or "", value
    at = 0
    while at < len(words):
        flag, equals, value = words[at].partition("=")
        variable = variables.get(flag, "")
        width = 2 if variable and not equals else 1
        own = words[at : at + width]
        given.append((own, variable, value if equals else own[-1]))
        at += width
    last = {variable: value for _, variable, value in given if variable}
    hidden = {v: value for v, value in last.items() if masked({v: value})[v] != value}
    kept = [word for own, variable, value in given
            if not variable or (variable not in hidden and value == last[variable])
            for word in own]  # fmt: skip
    return kept, hidden


def environment_of(
    backend: Backend,
    settings: EngineSettings,
    options: InstanceOptions,
    key: str,
    environ: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """`secrets`: those of its options that the engine reads from there."""
    given = {**surroundings(settings, environ), **options.environment}
    return {**given, **secrets, backend.key_variable: key}


def surroundings(settings: EngineSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """What every process of this engine has as its environment."""
    inherited = {
        name: value
        for name, value in environ.items()
        if any(fnmatchcase(name, pattern) for pattern in _ALLOWED)
    }
    return {**inherited, **settings.environment}
