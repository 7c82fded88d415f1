"""`docker run` and its kin: the words for the engine in the container, with the paths outside."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.shell import is_open, open_word

PROGRAMS = frozenset({"docker", "podman", "nerdctl"})
# Of docker, podman and nerdctl: they take no value but by `=`.
_SWITCHES = frozenset(
    {"--detach", "--disable-content-trust", "--env-host", "--help", "--http-proxy", "--init",
     "--interactive", "--no-healthcheck", "--no-hostname", "--no-hosts", "--oom-kill-disable",
     "--passwd", "--privileged", "--publish-all", "--quiet", "--read-only", "--read-only-tmpfs",
     "--replace", "--rm", "--rmi", "--rootfs", "--sig-proxy", "--tls-verify", "--tty",
     "--unsetenv-all", "--use-api-socket"}
)  # fmt: skip
# What an engine in it may use.
_RESOURCES = frozenset(
    {"--cap-add", "--cpus", "--cpuset-cpus", "--cpuset-mems", "--device", "--group-add", "--ipc",
     "--memory", "--memory-swap", "--runtime", "--security-opt", "--shm-size", "--ulimit"}
)  # fmt: skip
_MOST = 1 << 20  # characters that folders outside may add
_SHORT_SWITCHES = "ditPq"
_SHORT_LONG: Mapping[str, str] = {"-e": "--env", "-v": "--volume", "-w": "--workdir"}
_VOLUME = re.compile(r"([A-Za-z]:[\\/][^:]*|[^:]*)(?::([^:]*))?")
_NEXT_OPTION = re.compile(r"-[-A-Za-z]")
_PATH = re.compile(r"[/~.]|[A-Za-z]:[\\/]")
_PARTS = re.compile(r"([=,])")


@dataclass(slots=True)
class Contained:
    """What a container is given."""

    image: str = ""
    words: list[str] = field(default_factory=list)  # for the program in it, or with it
    entry: list[str] = field(default_factory=list)  # its program, where an option names one
    volumes: dict[str, str] = field(default_factory=dict)  # its folders, and which they are outside
    folder: str = ""  # in which it runs
    environment: dict[str, str] = field(default_factory=dict)
    # Variables without a value: `-e NAME`. Each as it was written.
    passed_on: dict[str, str] = field(default_factory=dict)
    gpus: str = ""  # as `--gpus` takes them
    # Its other options that say what the engine may use; they are left out as well, of a program
    # that is to run without its container.
    options: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def give(self, variable: str, written: str) -> None:
        """NAME=VALUE, or only NAME."""
        name, equals, value = variable.partition("=")
        if equals:
            self.environment[name] = value
        else:
            self.passed_on[name] = written

    def mount(self, pair: str) -> None:
        """FOLDER:FOLDER_INSIDE, as `-v` takes it."""
        self.volumes |= mounted([pair])

    def mount_parts(self, text: str) -> None:
        """As `--mount` takes them."""
        given = dict(part.partition("=")[::2] for part in text.split(","))
        inside = given.get("target") or given.get("dst") or given.get("destination") or ""
        _mount(given.get("source") or given.get("src") or "", inside, self.volumes)


def is_run(words: Sequence[str]) -> bool:
    """`docker run`, `docker container run`; without options of docker before it."""
    return "run" in words[1:3] and words[1:2] in (["run"], ["container"])


def unpack(words: Sequence[str]) -> Contained:
    """`words`: from `docker` on, of which `is_run`."""
    found = Contained()
    words = words[words.index("run") + 1 :]
    at = take_options(words, found)
    found.image = words[at] if at < len(words) else ""
    found.words = [*found.entry, *words[at + 1 :]]
    return found


def take_options(words: Sequence[str], found: Contained) -> int:
    """Those of a container; where the words after them begin."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at = _option(words, at, found)
    return at


def _option(words: Sequence[str], at: int, found: Contained) -> int:
    """Takes one of them; where the next word is."""
    word = words[at]
    flag, equals, value = word.partition("=")
    at += 1
    if not word.startswith("--"):
        letters = word[1:].lstrip(_SHORT_SWITCHES)
        if not letters:
            return at
        flag, value, equals = f"-{letters[0]}", letters[1:].removeprefix("="), letters[1:]
    elif flag in _SWITCHES:
        return at
    if not equals and at < len(words) and not _NEXT_OPTION.match(words[at]):
        value = words[at]
        at += 1
    _take(_SHORT_LONG.get(flag, flag), value, found, written=flag)
    return at


def _take(flag: str, value: str, found: Contained, *, written: str) -> None:
    match flag:
        case "--env":
            found.give(value, f"{written} {value}")
        case "--volume":
            found.mount(value)
        case "--mount":
            found.mount_parts(value)
        case "--workdir":
            found.folder = value
        case "--entrypoint":
            found.entry = [value] if value else []
        case _:
            found.gpus = value if flag == "--gpus" else found.gpus
            if flag in _RESOURCES:
                found.options.append(f"{flag}={value}")
            found.left_out.append(f"{written} {value}".rstrip() + ": container option")


def mounted(pairs: Sequence[str]) -> dict[str, str]:
    """The folders inside, and which they are outside, of `FOLDER:FOLDER_INSIDE[:…]`."""
    volumes: dict[str, str] = {}
    for pair in pairs:
        if parts := _VOLUME.match(pair):
            _mount(parts[1], parts[2] or "", volumes)
    return volumes


def _mount(outside: str, inside: str, volumes: dict[str, str]) -> None:
    """A volume with a name is a folder that only the container's program knows."""
    known = is_open(outside) or _PATH.match(outside)
    folder = outside.rstrip("/") if known else open_word(f"the volume {outside}")
    if inside.rstrip("/"):
        volumes[inside.rstrip("/")] = folder


def outside(words: Sequence[str], volumes: Mapping[str, str]) -> list[str]:
    """Also in `--model=/in/x` and `/in/a,/in/b`. Raises InvalidRequest if they become too long."""
    if not volumes:
        return [*words]
    paths = _Paths(volumes)
    return ["".join(map(paths.outside, _PARTS.split(word))) for word in words]


class _Paths:
    def __init__(self, volumes: Mapping[str, str]) -> None:
        self._volumes = volumes
        self._lengths = sorted({*map(len, volumes)})  # so that many cost no more than few
        self._left = _MOST

    def outside(self, path: str) -> str:
        for length in reversed(self._lengths[: bisect_right(self._lengths, len(path))]):
            if path[length : length + 1] in ("", "/") and path[:length] in self._volumes:
                folder = self._volumes[path[:length]]
                self._left -= len(folder)
                if self._left < 0:
                    raise InvalidRequest("the command can't be read: its volumes make it too long")
                return folder + path[length:]
        return path
