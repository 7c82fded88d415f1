"""What the settings hold for a backend."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


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


class BackendSettings(Section):
    """Of every backend."""

    command: str = ""
    args: Words = ()
    environment: Table = {}
    response_headers: Table = {}

    @property
    def in_container(self) -> bool:
        return False


class DockerSettings(Section):
    enabled: bool = False
    image: str = ""
    args: Words = ()
    environment: Table = {}


class ContainerSettings(BackendSettings):
    """Of one that can run in a container."""

    docker: DockerSettings = DockerSettings()

    @property
    def in_container(self) -> bool:
        return self.docker.enabled
