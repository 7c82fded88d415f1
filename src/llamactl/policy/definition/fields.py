"""The fields of a definition: how each is checked, and its description. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from llamactl.core.errors import InvalidOption, InvalidRequest

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MOST_RANK = 10
_MOST_COUNT = 10**6
_MOST_SPAN = 10**7
_MOST_TEXTS = 100
_ALIAS = re.compile(r"[!-~]{1,200}\Z")
_MAX_VALUE = 1 << 16  # characters; argv has room for more, a sane option has not


def read_object(key: str, value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{key!r} must be an object")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{key!r} must be a string")
    check_text(key, value)
    return value


def check_text(key: str, value: str) -> None:
    if len(value) > _MAX_VALUE:
        raise InvalidOption(f"{key!r} is longer than {_MAX_VALUE} characters")
    if "\0" in value:
        raise InvalidOption(f"{key!r} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidOption(f"{key!r} is not valid Unicode") from exc


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key!r} must be true or false")
    return value


def _count(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_COUNT:
        raise InvalidRequest(f"{key!r} must be a whole number from 0 to {_MOST_COUNT}")
    return value


def _rank(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST_RANK:
        raise InvalidRequest(f"{key!r} must be a whole number from {-_MOST_RANK} to {_MOST_RANK}")
    return value


def _span(key: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= _MOST_SPAN
    ):
        raise InvalidRequest(f"{key!r} must be a number from 0 to {_MOST_SPAN}")
    return value


def _environment(key: str, value: object) -> dict[str, str]:
    result = {}
    for name, text in read_object(key, value).items():
        if not _VARIABLE.match(name):
            raise InvalidRequest(f"{name[:80]!r} is not a valid environment variable name")
        result[name] = _text(f"environment.{name}", text)
    return result


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_TEXTS:
        raise InvalidRequest(f"{key!r} must be a list of at most {_MOST_TEXTS} strings")
    return [_text(key, one) for one in value]


def _check_served(what: str, names: Collection[str], several: str) -> None:
    """Looser than names: clients ask for what they know, such as `gpt-4o` or `org/model:tag`."""
    for name in names:
        if not _ALIAS.match(name):
            raise InvalidRequest(
                f"{what} {name[:140]!r} is not valid: no spaces, at most 200 characters"
            )
    if len({name.lower() for name in names}) < len(names):
        raise InvalidRequest(f"two {several} differ only in case")


def _aliases(key: str, value: object) -> list[str]:
    names = _texts(key, value)
    _check_served("alias", names, "aliases")
    return names


def _variants(key: str, value: object) -> dict[str, dict[str, object]]:
    variants, found = read_object(key, value), dict[str, dict[str, object]]()
    if len(variants) > _MOST_TEXTS:
        raise InvalidRequest(f"{key!r} has more than {_MOST_TEXTS} variants")
    _check_served("variant", variants, "variants")
    for variant, body in variants.items():
        what = f"variants.{variant}"
        given = read_object(what, body)
        if unknown := given.keys() - {"set_params"}:
            raise InvalidRequest(
                f"{what} has no field {min(unknown)!r}; it only takes 'set_params'"
            )
        found[variant] = {"set_params": _params(f"{what}.set_params", given.get("set_params"))}
    return found


def _params(key: str, value: object) -> dict[str, object]:
    params = dict(read_object(key, value))
    for name in params:
        _text(key, name)
    try:
        size = len(orjson.dumps(params))
    except (TypeError, orjson.JSONEncodeError) as exc:
        raise InvalidRequest(f"{key!r} is not valid: {exc}") from exc
    if size > _MAX_VALUE:
        raise InvalidRequest(f"{key!r} is longer than {_MAX_VALUE} bytes of JSON")
    return params


def _stripped(key: str, value: object) -> list[str]:
    names = _texts(key, value)
    if "model" in names:
        raise InvalidRequest("'model' can't be stripped: it is needed to route requests")
    return names


Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a definition: how it is checked, and its description."""

    check: Callable[[str, object], object]
    schema: Schema
    about: str


_BOOLEAN: Schema = {"type": "boolean"}
_STRING: Schema = {"type": "string", "maxLength": _MAX_VALUE}
_SPAN: Schema = {"type": "number", "minimum": 0, "maximum": _MOST_SPAN}
_STRINGS: Schema = {"type": "array", "maxItems": _MOST_TEXTS, "items": {"type": "string"}}
_PARAMETERS: Schema = {"type": "object", "additionalProperties": True}

OPTIONS: Mapping[str, Option] = {
    "backend_type": Option(_text, _STRING, "kind of engine that serves it"),
    "auto_restart": Option(_flag, _BOOLEAN, "restart it after a crash"),
    "max_restarts": Option(
        _count, {"type": "integer", "minimum": 0, "maximum": _MOST_COUNT},
        "consecutive restarts before it fails",
    ),
    "restart_delay": Option(_span, _SPAN, "seconds before the first restart; doubles each time"),
    "on_demand_start": Option(_flag, _BOOLEAN, "requests can start it"),
    "idle_timeout": Option(_span, _SPAN, "minutes without requests before it stops; 0 for never"),
    "environment": Option(
        _environment, {"type": "object", "additionalProperties": {"type": "string"}},
        "environment variables for its engine; shown masked",
    ),
    "group": Option(_text, _STRING, "group, for the limits in `instances.group_limits`"),
    "pinned": Option(_flag, _BOOLEAN, "never stopped to make room"),
    "priority": Option(
        _rank, {"type": "integer", "minimum": -_MOST_RANK, "maximum": _MOST_RANK},
        "instances with a lower priority are evicted first",
    ),
    "command_override": Option(_text, _STRING, "program to run instead of the configured engine"),
    "die_with_parent": Option(_flag, _BOOLEAN, "ends with llamactl, and is not adopted afterwards"),
    "aliases": Option(_aliases, _STRINGS, "other names that requests can use"),
    "default_params": Option(_params, _PARAMETERS, "parameters added to requests that lack them"),
    "set_params": Option(_params, _PARAMETERS, "parameters set in all requests, overriding theirs"),
    "strip_params": Option(_stripped, _STRINGS, "parameters removed from requests"),
    "variants": Option(
        _variants,
        {"type": "object", "additionalProperties": {
            "type": "object", "additionalProperties": False,
            "properties": {
                "set_params": {**_PARAMETERS, "description": "parameters set in its requests"},
            },
        }},
        "additional model IDs, each with its own parameters, served by the same engine",
    ),
}  # fmt: skip
