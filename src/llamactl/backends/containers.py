"""Does an instance run in a container, and in which? By its definition and the settings."""

from __future__ import annotations

from dataclasses import replace

from llamactl.core.errors import InvalidOption
from llamactl.core.instance import Container, InstanceOptions
from llamactl.core.ports.node import EngineSettings


def container_of(settings: EngineSettings, options: InstanceOptions) -> Container | None:
    """None: it runs on this machine itself."""
    own, theirs = options.container, settings.container
    if options.docker_enabled is False:
        return None
    if own is None:
        return theirs if options.docker_enabled or settings.in_container else None
    image = own.image or theirs.image
    if image == theirs.image:  # what the settings say of it counts, too
        env = {**theirs.env, **own.env}
        args, gpus = own.args or theirs.args, own.gpus or theirs.gpus
        return replace(own, image=image, args=args, gpus=gpus, env=env)
    return own


def check_container(settings: EngineSettings, options: InstanceOptions) -> None:
    """Raises InvalidOption."""
    container = container_of(settings, options)
    if container is None:
        return
    if not container.image:
        raise InvalidOption(
            "the instance is to run in a container, but no image is given; set container.image, "
            "or docker.image of its backend in the settings",
            details={"missing": "container.image", "fields": ["container.image"]},
        )
    if options.die_with_parent:
        raise InvalidOption(
            "'die_with_parent' can't be used in a container: the container engine, not llamactl, "
            "is its parent; leave it out"
        )
