"""A container in a file, a compose file or a quadlet, as the same `docker run`.

Forms: https://github.com/compose-spec/compose-spec/blob/main/spec.md and
https://docs.podman.io/en/latest/markdown/podman-systemd.unit.5.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from llamactl.core.errors import InvalidRequest

_COMPOSE = re.compile(r"\A(?:\s*#[^\n]*\n|---[ \t]*\n)*\s*[\w.\"'-]+:[ \t]*(?:[^\n]*)\n")
_IMAGE = re.compile(r"^[ \t]*image:[ \t]*\S", re.MULTILINE)
_QUADLET = re.compile(r"^[ \t]*\[Container\][ \t]*$", re.MULTILINE)
_SETTING = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*)")
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_SPECIAL = re.compile(r'(["\\`])')
_RUN = "docker run"
_OF_QUADLET: Mapping[str, str] = {
    "Environment": "-e", "Volume": "-v", "WorkingDir": "-w", "Entrypoint": "--entrypoint",
    "PublishPort": "-p", "AddDevice": "--device", "EnvironmentFile": "--env-file",
}  # fmt: skip


def as_run(text: str, is_engine: Callable[[str], bool]) -> str:
    """The command; "" where the text declares no container. Raises InvalidRequest."""
    if _QUADLET.search(text):
        return _of_quadlet(text)
    return _of_compose(text, is_engine) if _COMPOSE.match(text) and _IMAGE.search(text) else ""


def _of_quadlet(text: str) -> str:
    given: list[str] = []
    image = command = section = ""
    for line in _CONTINUED.sub(" ", text).splitlines():
        section = line.strip() if line.lstrip().startswith("[") else section
        found = _SETTING.match(line) if section == "[Container]" else None
        if found is None:
            continue
        name, value = found[1], found[2].strip()
        if name == "Image":
            image = value
        elif name == "Exec":
            command = value
        elif flag := _OF_QUADLET.get(name):
            given += [flag, value if value[:1] == '"' else _quoted(value)]
        else:
            given.append(_quoted(f"--{name}={value}"))
    return " ".join([_RUN, *given, image, command])


def _of_compose(text: str, is_engine: Callable[[str], bool]) -> str:
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidRequest(
            "the command can't be read: it looks like a compose file, but is not valid YAML; "
            "correct it, or paste the service's command"
        ) from exc
    services = [*_services(tree)]
    if not services:
        return ""
    fitting = (one for one in services if any(map(is_engine, _names(one))))
    return _of_service(next(fitting, services[0]))


def _services(tree: object) -> Iterator[Mapping[str, Any]]:
    """Those of a complete file, or of a part of one."""
    if not isinstance(tree, Mapping):
        return
    inner = tree.get("services", tree)
    for one in [tree, *inner.values()] if isinstance(inner, Mapping) else [tree]:
        if isinstance(one, Mapping) and isinstance(one.get("image"), str):
            yield one


def _names(service: Mapping[str, Any]) -> list[str]:
    words = [*_listed(service.get("entrypoint")), *_listed(service.get("command"))]
    return [*re.split(r"[/:]", service["image"]), *" ".join(map(str, words)).split()]


def _of_service(service: Mapping[str, Any]) -> str:
    words: list[str] = []
    entry = ""
    for key, value in service.items():
        match key:
            case "environment":
                words += _each("-e", _pairs(value))
            case "volumes":
                words += _each("-v", map(_volume, _listed(value)))
            case "working_dir":
                words += _each("-w", [value])
            case "entrypoint":
                entry = _command(value)
            case "image" | "command":
                pass
            case _:
                words.append(_quoted(f"--{key}={_short(value)}"))
    first, _, others = entry.partition(" ")
    words += ["--entrypoint", first] if first else []
    return " ".join([_RUN, *words, _quoted(service["image"]), others,
                     _command(service.get("command"))])  # fmt: skip


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _pairs(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{k}" if v is None else f"{k}={_scalar(v)}" for k, v in value.items()]
    return [*map(str, _listed(value))]


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _volume(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('source', '')}:{value.get('target', '')}"
    return str(value)


def _command(value: object) -> str:
    """A text is split as a shell would; the words of a list are words already."""
    if isinstance(value, str):
        return " ".join(value.replace("$$", "\\$").split("\n"))
    return " ".join(_quoted(_scalar(word)) for word in _listed(value))


def _each(flag: str, values: Iterator[Any] | Sequence[Any]) -> list[str]:
    return [word for value in values for word in (flag, _quoted(_scalar(value)))]


def _quoted(word: str) -> str:
    """So that variables in it are still read."""
    return '"' + _SPECIAL.sub(r"\\\1", word).replace("$$", "\\$") + '"'


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(str, value))
    return ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
