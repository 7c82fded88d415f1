"""What the settings hold for a backend."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from llamactl.backends.declared import fixed, live


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


class DockerSettings(Section):
    """Accepted for files of the Go llamactl; Docker is not available in this version."""

    enabled: bool = fixed(False, "run the engine in Docker; not available in this version")
    image: str = fixed("", "image of the engine; has no effect in this version")
    args: Words = fixed((), "arguments for Docker; has no effect in this version")
    environment: Table = fixed({}, "variables for Docker; has no effect in this version")


class ContainerSettings(BackendSettings):
    """Of one that can run in a container."""

    docker: DockerSettings = DockerSettings()

    @property
    def in_container(self) -> bool:
        return self.docker.enabled
