"""What the settings hold for a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from llamactl.backends.declared import fixed, live
from llamactl.core.instance import Container
from llamactl.core.ports.node import EngineSettings


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def no_null(value: Any) -> Any:
    return {} if value is None else value


def _words(value: Any) -> Any:
    return (
        [word for word in value.replace(",", " ").split() if word]
        if isinstance(value, str)
        else value
    )


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Table = Annotated[dict[str, str], BeforeValidator(no_null)]


COMMAND_IS = "program of the engine: a path, or a name on the PATH"
ARGS_ARE = "arguments that come before those of an instance"


class BackendSettings(Section):
    """Of every backend."""

    command: str = live("", COMMAND_IS)
    args: Words = live((), ARGS_ARE)
    environment: Table = live({}, "variables for the engine's processes")
    response_headers: Table = fixed({}, "headers to add to the engine's responses")

    @property
    def in_container(self) -> bool:
        return False

    @property
    def container(self) -> Container:
        return Container()

    @property
    def engine(self) -> EngineSettings:
        return EngineSettings(
            self.command, self.args, self.environment, self.container, self.in_container,
            command_given="command" in self.model_fields_set,
        )  # fmt: skip


class DockerSettings(Section):
    """The container of instances that define none: see [engines](engines.md#in-a-container)."""

    enabled: bool = live(False, "run all instances of this backend in a container")
    image: str = live("", "image of the engine")
    args: Words = live((), "arguments for `docker create`, or `podman create`")
    environment: Table = live({}, "variables in the container")

    @property
    def container(self) -> Container:
        args, gpus = _of_create(self.args)
        return Container(image=self.image, args=args, gpus=gpus, env=self.environment)


_WITH_VALUE = ("--network", "--net", "--gpus")
_IN_RUN = ("run", "--rm", "-d", "--detach", "-i", "-t", "-it")


def _of_create(args: Sequence[str]) -> tuple[list[str], str]:
    """Words of `docker run`, as in files of the Go llamactl, without those that llamactl gives
    itself; and the GPUs among them."""
    words, gpus = list[str](), ""
    given = iter(args)
    for word in given:
        flag, equals, value = word.partition("=")
        if flag in _WITH_VALUE:
            value = value if equals else next(given, "")
            gpus = value if flag == "--gpus" else gpus
            words += [flag, value] if flag != "--gpus" and value != "host" else []
        elif word not in _IN_RUN:
            words.append(word)
    return words, gpus


class ContainerSettings(BackendSettings):
    """Of one that can run in a container."""

    docker: DockerSettings = DockerSettings()

    @property
    def in_container(self) -> bool:
        return self.docker.enabled

    @property
    def container(self) -> Container:
        return self.docker.container
