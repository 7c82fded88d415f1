"""`docker run` and its kin: the words for the engine in the container, with the paths outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.policy.pasted.shell import is_open, open_word

PROGRAMS = frozenset({"docker", "podman", "nerdctl"})
_SWITCHES = frozenset(
    {"--rm", "--detach", "--interactive", "--tty", "--init", "--privileged", "--read-only",
     "--no-healthcheck", "--publish-all", "--sig-proxy", "--oom-kill-disable", "--quiet",
     "--replace", "--rmi", "--disable-content-trust", "--use-api-socket"}
)  # fmt: skip
_SHORT_SWITCHES = "ditPq"
_SHORT_LONG: Mapping[str, str] = {"-e": "--env", "-v": "--volume", "-w": "--workdir"}
_VOLUME = re.compile(r"([A-Za-z]:[\\/][^:]*|[^:]*)(?::([^:]*))?")
_PATH = re.compile(r"[/~.]|[A-Za-z]:[\\/]")
_PARTS = re.compile(r"([=,])")


@dataclass(slots=True)
class Contained:
    """What a container is given."""

    image: str = ""
    words: list[str] = field(default_factory=list)  # for the program in it, or with it
    volumes: dict[str, str] = field(default_factory=dict)  # its folders, and which they are outside
    folder: str = ""  # in which it runs
    environment: dict[str, str] = field(default_factory=dict)
    passed_on: list[str] = field(default_factory=list)  # variables without a value: `-e NAME`
    left_out: list[str] = field(default_factory=list)


def is_run(words: Sequence[str]) -> bool:
    """`docker run`, `docker container run`; without options of docker before it."""
    return "run" in words[1:3] and words[1:2] in (["run"], ["container"])


def unpack(words: Sequence[str]) -> Contained:
    """`words`: from `docker` on, of which `is_run`."""
    found, entry = Contained(), list[str]()
    at = words.index("run") + 1
    while at < len(words) and words[at].startswith("-"):
        at = _option(words, at, entry, found)
    found.image = words[at] if at < len(words) else ""
    found.words = [*entry, *words[at + 1 :]]
    return found


def _option(words: Sequence[str], at: int, entry: list[str], found: Contained) -> int:
    """Takes one option of the container; where the next word is."""
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
    if not equals:
        value = words[at] if at < len(words) else ""
        at += 1
    _take(_SHORT_LONG.get(flag, flag), value, entry, found, written=flag)
    return at


def _take(flag: str, value: str, entry: list[str], found: Contained, *, written: str) -> None:
    match flag:
        case "--env":
            _variable(value, found)
        case "--volume":
            found.volumes |= mounted([value])
        case "--mount":
            given = dict(part.partition("=")[::2] for part in value.split(","))
            inside = given.get("target") or given.get("dst") or given.get("destination") or ""
            _mount(given.get("source") or given.get("src") or "", inside, found.volumes)
        case "--workdir":
            found.folder = value
        case "--entrypoint":
            entry[:] = [value] if value else []
        case _:
            found.left_out.append(f"{written} {value}: container option")


def _variable(value: str, found: Contained) -> None:
    name, equals, text = value.partition("=")
    if equals:
        found.environment[name] = text
    else:
        found.passed_on.append(name)


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


def outside(word: str, volumes: Mapping[str, str]) -> str:
    """Also in `--model=/in/x` and `/in/a,/in/b`."""
    if not volumes:
        return word
    return "".join(_mounted(part, volumes) for part in _PARTS.split(word))


def _mounted(path: str, volumes: Mapping[str, str]) -> str:
    found = [one for one in volumes if path == one or path.startswith(f"{one}/")]
    inside = max(found, key=len, default="")
    return volumes[inside] + path[len(inside) :] if inside else path
