"""What Docker and Podman say when they can't, and what to do about it.

The texts are those of Docker 20.10 to 28 and Podman 4.3, as seen.
"""

from __future__ import annotations

import re

from llamactl.core.exits import FailureClass
from llamactl.node.process.process import Cause


class ContainerError(Exception):
    """`said`: what the client printed, for management keys only."""

    def __init__(
        self, said: str, failure: FailureClass = FailureClass.UNKNOWN, advice: str = ""
    ) -> None:
        super().__init__(said)
        self.said = said
        self.cause = Cause(failure, advice or "the container engine refused it; see what it says")


class EngineDown(ContainerError):
    """It is not installed, or does not answer."""

    def __init__(self, said: str, advice: str = "") -> None:
        super().__init__(
            said, FailureClass.CONTAINER_ENGINE_DOWN,
            advice or "the container engine does not answer; start it (for Docker: `systemctl "
            "start docker`)",
        )  # fmt: skip


class NoSuchContainer(ContainerError):
    """It was removed."""


_DOWN = re.compile(
    r"cannot connect to the docker daemon|error during connect|connection refused|cannot connect "
    r"to podman|is the docker daemon running|unexpected EOF|context deadline exceeded|"
    r"server is shutting down|daemon is shutting down|connection reset by peer",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"permission denied while trying to connect|dial unix .*permission denied")
_GONE = re.compile(r"no such container|no container with name or id|no such object", re.IGNORECASE)
_KNOWN: tuple[tuple[re.Pattern[str], FailureClass, str], ...] = (
    (
        re.compile(r"no such image|image not known|unable to find image", re.IGNORECASE),
        FailureClass.IMAGE_MISSING,
        "its image is not on this machine; pull it, or set container.pull to missing",
    ),
    (
        re.compile(r"select device driver|nvidia-container|CDI device|nvidia\.com/gpu"),
        FailureClass.GPU,
        "the container engine can't give it a GPU; install the NVIDIA Container Toolkit, or remove "
        "container.gpus",
    ),
    (
        re.compile(r"unknown (shorthand )?flag|invalid argument|flag needs an argument"),
        FailureClass.BAD_OPTION,
        "the container engine does not know one of container.args; correct it",
    ),
    (
        re.compile(r"bind source path does not exist|statfs .*no such file"),
        FailureClass.BAD_OPTION,
        "a file or folder of container.mounts does not exist; correct its path",
    ),
    (
        re.compile(r"adding custom device|stat /dev/\S+: no such"),
        FailureClass.BAD_OPTION,
        "a device of container.args does not exist; correct it",
    ),
    (
        re.compile(r"already in use"),
        FailureClass.UNKNOWN,
        "a container of its name exists already; remove that container",
    ),
    (
        re.compile(r"executable file not found|exec: .*(no such file|permission denied)"),
        FailureClass.COMMAND_MISSING,
        "its program can't be run in the image; correct command_override or container.image",
    ),
    (
        re.compile(r"no space left on device"),
        FailureClass.EXHAUSTED,
        "the container engine's disk is full; free some space, for instance by removing images",
    ),
)


def failure_of(kind: str, command: str, said: str) -> ContainerError:
    """Of a client that exited with an error."""
    if _FORBIDDEN.search(said):
        return EngineDown(
            said, f"llamactl may not use {kind}: permission denied; add its user to the group of "
            f"{kind}'s socket"
        )  # fmt: skip
    if command != "pull" and _DOWN.search(said):
        return EngineDown(said)
    if command == "pull":
        advice = "its image can't be pulled; see what the container engine says, or pull it by hand"
        return ContainerError(said, FailureClass.IMAGE_MISSING, advice)
    if _GONE.search(said):
        return NoSuchContainer(said)
    for pattern, failure, advice in _KNOWN:
        if pattern.search(said):
            return ContainerError(said, failure, advice)
    return ContainerError(said)
