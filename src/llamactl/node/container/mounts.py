"""What a container sees of this machine: the files that its options name, and what people add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Mount
from llamactl.core.model import part_names
from llamactl.node.container.failures import ContainerError
from llamactl.node.engine.launch import Launchable
from llamactl.policy.definition.confinement import files


def mounts_of(launchable: Launchable) -> Sequence[Mount]:
    """Those that were asked for, then the files of options, each where it is here, read-only.

    Of an option's file that is not here, nothing: it may be in the image. Raises ContainerError
    for a folder or file that was asked for and is not here.
    """
    container = launchable.container
    assert container is not None
    own = [Mount.of(text) for text in container.mounts]
    for mount in own:
        if not Path(mount.source).exists():
            raise ContainerError(
                f"{mount.source} does not exist", FailureClass.BAD_OPTION,
                "a file or folder of container.mounts does not exist; correct its path",
            )  # fmt: skip
    paths = backend_of(launchable.options.backend_type).fields.paths
    named = [one.path for one in files(launchable.options) if one.option in paths]
    found = {path: Mount(path, path) for one in named for path in _parts(one)}
    given = {mount.target.rstrip("/") for mount in own}
    return [*own, *(mount for path, mount in found.items() if path.rstrip("/") not in given)]


def _parts(given: str) -> Iterator[str]:
    """A model may be in several files."""
    path = Path(given)
    if not path.is_absolute() or not path.name:
        return
    try:
        names = part_names(path.name)
    except ValueError:
        names = [path.name]
    for part in map(path.with_name, names):
        if part.exists():
            yield str(part)
