"""The fields of a container in a definition: how each is checked, and its description. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import CONTAINER_ENGINES, PULLS, Mount
from llamactl.policy.definition.checks import (
    STRING,
    STRINGS,
    VARIABLES,
    Schema,
    environment,
    field_named,
    read_object,
    text,
    texts,
)

# Arguments of `docker create` that llamactl gives itself, and what to do instead.
_LEAVE_OUT, _NETWORK = "leave it out", "it shares the host's network; leave it out"
_OURS: Mapping[str, str] = {
    **dict.fromkeys(
        ("name", "rm", "d", "detach", "cidfile", "log-driver", "t", "tty", "i", "interactive", "it",
         "init"),
        _LEAVE_OUT,
    ),
    **dict.fromkeys(("network", "net", "p", "publish", "P", "publish-all"), _NETWORK),
    "entrypoint": "use command_override", "gpus": "use container.gpus",
    "pull": "use container.pull", "restart": "use auto_restart",
}  # fmt: skip
_GPUS = re.compile(r"(all|[1-9][0-9]{0,2}|device=[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*)?\Z")


def read_container(key: str, value: object) -> dict[str, object]:
    """In its plain form; None removes a field."""
    given = read_object(key, value)
    if unknown := given.keys() - _CHECKS.keys():
        raise InvalidRequest(
            f"{key!r} has no field {min(unknown)!r}; its fields are {', '.join(_CHECKS)}"
        )
    return {name: _read_field(f"{key}.{name}", name, one) for name, one in given.items()}


def _read_field(path: str, name: str, value: object) -> object:
    with field_named(path):
        return None if value is None else _CHECKS[name](path, value)


def _word(key: str, value: object) -> str:
    """One word, and not a flag."""
    word = text(key, value)
    if word.startswith("-") or not word.isprintable() or " " in word:
        raise InvalidRequest(
            f"{key!r} is {word[:140]!r}; it must not contain spaces or begin with -"
        )
    return word


def _one_of(allowed: tuple[str, ...]) -> Callable[[str, object], str]:
    def check(key: str, value: object) -> str:
        if value not in allowed:
            raise InvalidRequest(f"{key!r} must be one of {', '.join(allowed)}")
        return str(value)

    return check


def _mounts(key: str, value: object) -> list[str]:
    mounts = texts(key, [value] if isinstance(value, str) else value)
    for mount in mounts:
        try:
            Mount.of(mount)
        except ValueError as exc:
            raise InvalidRequest(
                f"{key!r} can't mount {mount[:140]!r}: {exc}; write /here, /here:/inside or "
                "/here:/inside:rw"
            ) from exc
    return mounts


def _gpus(key: str, value: object) -> str:
    given = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(given, str) or not _GPUS.match(given):
        raise InvalidRequest(f"{key!r} must be 'all', a number, or 'device=0,1'")
    return given


def _args(key: str, value: object) -> list[str]:
    words = texts(key, _split(key, value) if isinstance(value, str) else value)
    for word in words:
        flag = word.partition("=")[0].lstrip("-")
        if word.startswith("-") and (better := _OURS.get(flag)) is not None:
            raise InvalidRequest(f"{key!r} can't have {word[:140]!r}: llamactl sets it; {better}")
    return words


def _split(key: str, value: str) -> list[str]:
    """As in a shell."""
    try:
        return shlex.split(value)
    except ValueError as exc:
        raise InvalidRequest(f"{key!r} is not a valid command line: {exc}") from exc


_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "image": _word,
    "engine": _one_of(CONTAINER_ENGINES),
    "args": _args,
    "mounts": _mounts,
    "gpus": _gpus,
    "env": environment,
    "pull": _one_of(PULLS),
}
CONTAINER: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {**STRING, "description": "image; default: that of its backend in the settings"},
        "engine": {
            "type": "string", "enum": [*CONTAINER_ENGINES],
            "description": "auto: Docker if it runs, else Podman"
        },
        "args": {**STRINGS, "description": "arguments for `docker create`, before the image"},
        "mounts": {
            **STRINGS,
            "description": "files and folders: `/here`, `/here:/inside` or `/here:/inside:rw`",
        },
        "gpus": {**STRING, "description": "GPUs it may use: `all`, a number or `device=0,1`"},
        "env": {**VARIABLES, "description": "variables, besides `environment`; shown masked"},
        "pull": {"type": "string", "enum": [*PULLS], "description": "when to download the image"},
    },
}  # fmt: skip
