"""The options of a command: what each is, and which values it takes."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.engine_help import EngineOption, Kind

NO_HEALTH_PATH = "none"
HEALTH_PATH = "/health"
_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]*\Z")
_PATH = re.compile(r"/[!-~]*\Z")


def _text(name: str, value: OptionValue) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refusal(name, value, "use a non-empty string")
    return value


def _words(name: str, value: OptionValue) -> Sequence[str]:
    """A text is split as a shell would."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as exc:
            raise InvalidOption(
                f"cannot use the option 'args': {str(exc).lower()}; check its quotes"
            ) from exc
    if isinstance(value, int | float):
        raise _refusal(name, value, "use a list of strings, or one string")
    return [str(word) for word in value]


def _health_path(name: str, value: OptionValue) -> str:
    if value == NO_HEALTH_PATH or (isinstance(value, str) and _PATH.match(value)):
        return value
    raise _refusal(name, value, "use a path that starts with '/', or 'none'")


def _path(name: str, value: OptionValue) -> str:
    if isinstance(value, str) and _PATH.match(value):
        return value
    raise _refusal(name, value, "use a path that starts with '/'")


def _json(name: str, value: OptionValue) -> str:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            json.loads(value)
            return value
    raise _refusal(name, value, "use JSON, as the program takes it")


def _signal(name: str, value: OptionValue) -> str:
    word = str(value).upper()
    if word.isdigit() and int(word) in list(signal.Signals):
        word = signal.Signals(int(word)).name
    word = word if word.startswith("SIG") else f"SIG{word}"
    if word not in _SIGNALS or isinstance(value, bool):
        raise _refusal(name, value, f"use one of {', '.join(_SIGNALS)}")
    return word


def _variable(name: str, value: OptionValue) -> str:
    if isinstance(value, str) and _VARIABLE.match(value):
        return value
    raise _refusal(name, value, "use the name of an environment variable, such as API_KEY")


def _flag(name: str, value: OptionValue) -> str:
    if isinstance(value, str) and _FLAG.match(value):
        return value
    raise _refusal(name, value, "use a flag, such as --api-key")


def _port(name: str, value: OptionValue) -> OptionValue:
    return value  # checked for all backends alike


def _refusal(name: str, value: OptionValue, advice: str) -> InvalidOption:
    shown = value if isinstance(value, str | int | float) else "a list"
    return InvalidOption(f"cannot use the option {name!r}: {shown!r} is not valid; {advice}")


@dataclass(frozen=True, slots=True)
class _Option:
    read: Callable[[str, OptionValue], OptionValue]
    kind: Kind
    about: str
    default: str = ""
    choices: tuple[str, ...] = ()


_OPTIONS: Mapping[str, _Option] = {
    "command": _Option(_text, "path", "program to run: a path, or a name on the PATH"),
    "args": _Option(
        _words, "list",
        "arguments for the program; ${PORT} and ${MODEL} are replaced, in the environment too",
    ),
    "model": _Option(_text, "text", "value of ${MODEL}: a file, a folder or a name"),
    "served_model": _Option(
        _text, "text",
        "`model` in requests to the program; default: what the client sent",
    ),
    "health_path": _Option(
        _health_path, "text",
        "path that returns 200 once the program is ready; none: ready once its port is open",
        default=HEALTH_PATH,
    ),
    "probe_path": _Option(
        _path, "text",
        "path that must also return 200, to a POST, before the program is ready, such as "
        "/v1/completions; for programs whose health path answers before the model is loaded",
    ),
    "probe_body": _Option(
        _json, "text", "JSON of that request; default: a completion of one token"
    ),
    "stop_signal": _Option(
        _signal, "choice", "signal that stops the program", default="SIGTERM", choices=_SIGNALS
    ),
    "api_key_env": _Option(
        _variable, "text", "environment variable that passes the API key to the program"
    ),
    "api_key_flag": _Option(
        _flag, "text",
        "flag that passes the API key to the program; other users of this machine can see it",
    ),
    "port": _Option(_port, "integer", "port to listen on; default: a free one"),
}  # fmt: skip


def canonical(options: Mapping[str, OptionValue | None]) -> dict[str, OptionValue | None]:
    """Raises InvalidOption for a name or a value that is not valid."""
    found: dict[str, OptionValue | None] = {}
    for given, value in options.items():
        name = given.lstrip("-").replace("-", "_")
        if name not in _OPTIONS:
            raise InvalidOption(
                f"unknown option {given!r} for the backend 'command'; its options are "
                f"{', '.join(_OPTIONS)}; put flags of the program in args"
            )
        if name in found:
            raise InvalidOption(f"engine option {name!r} is given twice")
        found[name] = None if value is None else _OPTIONS[name].read(name, value)
    return found


def listed() -> list[EngineOption]:
    return [
        EngineOption(name, (), o.kind, o.choices, o.default, o.about, "")
        for name, o in _OPTIONS.items()
    ]
