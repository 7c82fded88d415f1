"""From a container's definition to the words of `create`. No secret is among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container, Mount
from llamactl.node.container.failures import ContainerError

_NVIDIA = "nvidia.com/gpu"  # of the Container Device Interface
_LOG = {"docker": "local", "podman": "k8s-file"}  # what `logs --follow` can read everywhere


@dataclass(frozen=True, slots=True)
class Create:
    name: str
    labels: Mapping[str, str]
    container: Container
    mounts: Sequence[Mount]
    environment: Mapping[str, str] = field(repr=False)  # only its names are shown
    program: str  # "": the image's own
    words: Sequence[str]  # after the image

    def argv(self, kind: str, hidden: Iterable[str] = ()) -> list[str]:
        """`hidden`: variables that are given by a file."""
        left_out = {*hidden}
        return [
            "--name", self.name,
            *self.container.args,
            "--init", "--pull", "never", "--network", "host", "--log-driver", _LOG[kind],
            *(word for label in self.labels.items() for word in ("--label", "=".join(label))),
            *(word for one in self.mounts for word in ("--mount", _mount(one))),
            *_gpus(kind, self.container.gpus),
            *(word for name in self.environment if name not in left_out for word in ("-e", name)),
            *(("--env-file", "/dev/stdin") if left_out else ()),
            *(("--entrypoint", self.program) if self.program else ()),
            self.container.image,
            *self.words,
        ]  # fmt: skip


def _mount(one: Mount) -> str:
    fields = ["type=bind", f"src={one.source}", f"dst={one.target}"]
    return ",".join(map(_quoted, fields if one.writable else [*fields, "readonly"]))


def _quoted(text: str) -> str:
    """A field of a CSV line, as which both read a mount."""
    return '"' + text.replace('"', '""') + '"' if {*',"\n\r'} & {*text} else text


def _gpus(kind: str, given: str) -> Iterator[str]:
    if not given:
        return
    if kind == "docker":
        yield from ("--gpus", _quoted(given))
        return
    which = given.removeprefix("device=").split(",")
    if given.isdigit():
        which = [*map(str, range(int(given)))]
    for one in which:
        yield from ("--device", f"{_NVIDIA}={one}")


def besides(environment: Mapping[str, str], hidden: Collection[str]) -> dict[str, str]:
    """What the client itself may have in its environment."""
    return {name: value for name, value in environment.items() if name not in hidden}


def env_file(hidden: Mapping[str, str]) -> str:
    """For variables that would mean something to the client itself, such as PATH."""
    if bad := [name for name, value in hidden.items() if "\n" in value]:
        raise ContainerError(
            f"{bad[0]} has several lines", FailureClass.BAD_OPTION,
            f"the variable {bad[0]} can't have several lines in a container; write it in one",
        )  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in hidden.items())
