"""The command line of Docker, or of Podman: each call has a deadline, each failure its class."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, BinaryIO

import orjson

from llamactl.node.container.failures import ContainerError, EngineDown, failure_of
from llamactl.node.engine.command import tied_to_us
from llamactl.observe.loop_clock import loop_clock

_QUICK_S, _SLOW_S = 10.0, 120.0  # `create`, `start` and `rm` copy and remove files
_NEVER_S = 30 * 86400.0
_SHOWN = 4000  # characters of what it says
# What a client finds its engine, its images and its credentials by.
_ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "DOCKER_*", "BUILDKIT_*",
    "CONTAINER_*", "CONTAINERS_*", "PODMAN_*", "REGISTRY_AUTH_FILE", "XDG_*",
    "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "SSL_CERT_*", "http_proxy", "https_proxy",
    "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContainerState:
    """As `inspect` shows it."""

    id: str
    status: str
    pid: int
    exit_code: int
    oom_killed: bool
    error: str
    labels: Mapping[str, str]

    @property
    def is_running(self) -> bool:
        return self.status in ("running", "paused", "restarting", "removing", "stopping")


@dataclass(frozen=True, slots=True)
class Client:
    kind: str  # docker or podman
    program: str
    environment: Mapping[str, str]

    @classmethod
    def find(cls, kind: str, environ: Mapping[str, str]) -> Client | None:
        """None: it is not installed."""
        program = shutil.which(kind, path=environ.get("PATH"))
        if program is None:
            return None
        kept = {
            name: value
            for name, value in environ.items()
            if any(fnmatchcase(name, pattern) for pattern in _ALLOWED)
        }
        return cls(kind, program, kept)

    def reads(self, variable: str) -> bool:
        """Would a variable of this name mean something to the client itself?"""
        return any(fnmatchcase(variable, pattern) for pattern in _ALLOWED)

    # What it is asked. Each raises ContainerError.

    async def check(self) -> None:
        """Raises EngineDown where it does not answer."""
        word = "{{.Server.Version}}" if self.kind == "docker" else "{{.Client.Version}}"
        await self.run("version", "--format", word)

    async def create(
        self, words: Sequence[str], environment: Mapping[str, str], env_file: str
    ) -> str:
        """The id of the container."""
        said = await self.run(
            "create", *words, environment=environment, stdin=env_file, within=_SLOW_S
        )
        return said.split()[-1]  # warnings may stand before it

    async def start(self, container: str) -> None:
        await self.run("start", container, within=_SLOW_S)

    async def inspect(self, container: str) -> ContainerState:
        """Raises NoSuchContainer."""
        said = await self.run("container", "inspect", container)
        try:
            [found] = orjson.loads(said)
            return _state(found)
        except (ValueError, KeyError, TypeError) as exc:
            raise ContainerError(f"{self.kind} inspect can't be understood: {exc}") from exc

    async def kill(self, container: str, signal: int) -> None:
        await self.run("kill", "--signal", str(signal), container)

    async def remove(self, container: str) -> None:
        """With its own volumes, however it is; one that is gone already is fine."""
        await self.run("rm", "--force", "--volumes", container, within=_SLOW_S)

    async def labelled(self, label: str) -> list[str]:
        """Ids of all containers with it, whatever their state."""
        filtered = ("--filter", f"label={label}")
        return (await self.run("ps", "--all", "--quiet", "--no-trunc", *filtered)).split()

    async def has_image(self, image: str) -> bool:
        try:
            await self.run("image", "inspect", "--format", "{{.Id}}", image)
        except EngineDown:
            raise
        except ContainerError:
            return False
        return True

    async def wait(self, container: str) -> None:
        """Until it ends, or as long as the client and its engine live; says nothing about it.

        The kernel ends the client with us.
        """
        with suppress(ContainerError):
            await self.run("wait", container, within=None, tied=True)

    async def run(
        self, *words: str, environment: Mapping[str, str] | None = None, stdin: str = "",
        within: float | None = _QUICK_S, tied: bool = False,
    ) -> str:  # fmt: skip
        """What it prints. A client that is left running at a deadline, or by who waited for it, is
        killed.

        Files and not pipes take what it says: what `podman start` leaves behind holds them open.
        """
        try:
            with _file(stdin) as given, _file() as out, _file() as err:
                process = await asyncio.create_subprocess_exec(
                    *(tied_to_us() if tied else ()), self.program, *words,
                    stdin=given, stdout=out, stderr=err,
                    env={**self.environment, **(environment or {})}, start_new_session=True,
                )  # fmt: skip
                await self._until_done(process, words[0], within)
                if process.returncode != 0:
                    said = _text(err)[-_SHOWN:] or _text(out)[-_SHOWN:]
                    raise failure_of(self.kind, words[0], said)
                return _text(out)
        except OSError as exc:
            raise EngineDown(f"{self.kind} can't be run: {exc.strerror}") from exc

    async def _until_done(
        self, process: asyncio.subprocess.Process, what: str, within: float | None
    ) -> None:
        try:
            async with loop_clock().timeout(_NEVER_S if within is None else within):
                await process.wait()
        except TimeoutError as exc:
            raise EngineDown(f"{self.kind} {what} took more than {within:g} s") from exc
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())


def _file(text: str = "") -> BinaryIO:
    file = os.fdopen(os.memfd_create("llamactl"), "w+b")
    file.write(text.encode())
    file.seek(0)
    return file


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()


def _state(found: Mapping[str, Any]) -> ContainerState:
    state, config = found["State"], found.get("Config") or {}
    return ContainerState(
        id=found["Id"], status=str(state["Status"]), pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0), oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""), labels=config.get("Labels") or {},
    )  # fmt: skip
