"""From a container's definition to the words of `create`. No secret is among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.core.instance import Container, Mount

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
