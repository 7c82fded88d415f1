"""A container in a file, a compose file or a quadlet, as what `docker run` would be given.

Forms: https://github.com/compose-spec/compose-spec/blob/main/spec.md and
https://docs.podman.io/en/latest/markdown/podman-systemd.unit.5.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from llamactl.core.bounded_yaml import UNREADABLE, Unfit, read_bounded
from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.containers import Contained, take_options
from llamactl.policy.pasted.quoted import CONTINUED, at_home, interpolated, split_quoted
from llamactl.policy.pasted.shell import Shell
from llamactl.policy.pasted.units import specified, unit_words

_COMPOSE = re.compile(r"\A(?:\s*#[^\n]*\n|---[ \t]*\n)*\s*[\w.\"'-]+:[ \t]*(?:[^\n]*)\n")
_IMAGE = re.compile(r"(?:^|[{,])[ \t]*[\"']?image[\"']?:[ \t]*\S", re.MULTILINE)
_QUADLET = re.compile(r"^[ \t]*\[Container\][ \t]*$", re.MULTILINE)
_SETTING = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*)")
_COMMENT_LINE = re.compile(r"^[ \t]*#[^\n]*$", re.MULTILINE)
_OPTION = "container option"


def read_container(
    text: str, shell: Shell, is_engine: Callable[[str], bool]
) -> Contained | None:  # fmt: skip
    """None where the text declares no container. Raises InvalidRequest."""
    if _QUADLET.search(text):
        return _of_quadlet(text, shell)
    if not (_COMPOSE.match(text) and _IMAGE.search(text)):
        return None
    service = _chosen([*_services(_tree(text))], is_engine)
    return None if service is None else _of_service(service, shell)


def _of_quadlet(text: str, shell: Shell) -> Contained:
    found, section = Contained(), ""
    command: list[str] = []
    for line in CONTINUED.sub(" ", text).splitlines():
        section = line.strip() if line.lstrip().startswith("[") else section
        setting = _SETTING.match(line) if section == "[Container]" else None
        if setting is None:
            continue
        name, value = setting[1], setting[2].strip()
        if name == "Exec":
            command = unit_words(value, shell)
        else:
            _set(name, value, shell, found)
    found.words = [*found.entry, *command]
    return found


def _set(name: str, value: str, shell: Shell, found: Contained) -> None:
    """One setting of a quadlet."""
    match name:
        case "Image":
            found.image = specified(value, shell)
        case "Environment":
            for word in unit_words(value, shell):
                found.give(word, f"{name}={word}")
        case "Volume":
            found.mount(at_home(specified(value, shell), shell))
        case "Mount":
            found.mount_parts(specified(value, shell))
        case "WorkingDir":
            found.folder = specified(value, shell)
        case "Entrypoint":
            found.entry = _entry(specified(value, shell))
        case "PodmanArgs":
            take_options(unit_words(value, shell), found)
        case _:
            found.left_out.append(f"{name}={value}: {_OPTION}")


def _entry(value: str) -> list[str]:
    """One program, or JSON's list of words."""
    try:
        words = json.loads(value) if value.startswith("[") else [value]
    except (ValueError, RecursionError):
        words = [value]
    return [*map(str, words)]


def _tree(text: str) -> object:
    try:
        return read_bounded(text, scalars_as_text=True)
    except UNREADABLE as exc:
        why = exc.problem if isinstance(exc, Unfit) else "it is not valid YAML; correct it"
        raise InvalidRequest(
            f"the command can't be read: it looks like a compose file, but {why}, or paste the "
            "service's command"
        ) from exc


def _services(tree: object) -> Iterator[Mapping[str, Any]]:
    """Those of a complete file, or of a part of one."""
    if not isinstance(tree, Mapping):
        return
    inner = tree.get("services", tree)
    for one in [tree, *inner.values()] if isinstance(inner, Mapping) else [tree]:
        if isinstance(one, Mapping) and isinstance(one.get("image"), str):
            yield one


def _chosen(
    services: Sequence[Mapping[str, Any]], is_engine: Callable[[str], bool]
) -> Mapping[str, Any] | None:  # fmt: skip
    """That of the engine; else one that gives its image's program flags; else the first."""
    fitting = (one for one in services if any(map(is_engine, _names(one))))
    with_flags = (one for one in services if _words_of(one)[:1] == "-")
    return next(fitting, None) or next(with_flags, None) or next(iter(services), None)


def _names(service: Mapping[str, Any]) -> list[str]:
    return [*re.split(r"[/:]", service["image"]), *_words_of(service).split()]


def _words_of(service: Mapping[str, Any]) -> str:
    words = [*_listed(service.get("entrypoint")), *_listed(service.get("command"))]
    return " ".join(map(_text, words)).lstrip()


def _of_service(service: Mapping[str, Any], shell: Shell) -> Contained:
    found = Contained()
    for key, value in service.items():
        match key:
            case "environment":
                for pair in _pairs(value):
                    found.give(interpolated(pair, shell), f"environment {pair}")
            case "volumes":
                for one in _listed(value):
                    _mount(one, shell, found)
            case "working_dir":
                found.folder = interpolated(_text(value), shell)
            case "image":
                found.image = interpolated(value, shell)
            case "entrypoint" | "command":
                pass
            case _:
                found.left_out.append(f"{f'{key} {_short(value)}'.rstrip()}: {_OPTION}")
    found.words = [word for key in ("entrypoint", "command")
                   for word in _words(service.get(key), shell)]  # fmt: skip
    return found


def _mount(volume: object, shell: Shell, found: Contained) -> None:
    if isinstance(volume, Mapping):
        outside, inside = (_text(volume.get(key)) for key in ("source", "target"))
        pair = f"{outside}:{inside}"
    else:
        pair = _text(volume)
    found.mount(at_home(interpolated(pair, shell), shell))


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _pairs(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{k}" if v is None else f"{k}={_text(v)}" for k, v in value.items()]
    return [*map(_text, _listed(value))]


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _words(value: object, shell: Shell) -> list[str]:
    """A text is split as a shell would; the words of a list are words already."""
    if isinstance(value, str):
        return split_quoted(interpolated(_COMMENT_LINE.sub("", value), shell))
    return [interpolated(_text(word), shell) for word in _listed(value)]


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(str, value))
    return ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)
