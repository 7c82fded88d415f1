"""From a request's body to an instance's options: both forms, merged, checked. Pure.

Flat: `{"model": "/m.gguf", "ctx_size": 4096}`, unknown fields are engine options.
Structured: with `backend_type` or `backend_options` present, the top level is strict.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import orjson

from llamactl.core.errors import InvalidOption, InvalidRequest, NotAvailable
from llamactl.core.instance import InstanceOptions, OptionValue
from llamactl.core.secrets.masking import unmasked
from llamactl.policy.definition.backend_rules import Asked, BackendRules, renamed
from llamactl.policy.definition.unknown import refuse_unknown

# Fields of the API reference; left out or empty, they are understood.
NOT_BUILT: Mapping[str, Mapping[str, Any]] = {
    "docker_enabled": {"type": "boolean", "enum": [False]},
    "preset_ini": {"type": "string", "maxLength": 0},
    "nodes": {"type": "array", "maxItems": 0, "items": {"type": "string"}},
}
_NAMES = tuple(f.name for f in fields(InstanceOptions))
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MOST_RANK = 10
_MOST_COUNT = 10**6
_MOST_SPAN = 10**7
_MOST_TEXTS = 100
_ALIAS = re.compile(r"[!-~]{1,200}\Z")
_MAX_VALUE = 1 << 16  # characters; argv has room for more, a sane option has not


@dataclass(frozen=True, slots=True)
class Patch:
    """What a body says: instance options and engine options; None removes one."""

    options: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, OptionValue | None] = field(default_factory=dict)
    # The name that an option of a stored definition has by the rules of this patch.
    rename: Callable[[str], str] = str


def read_patch(body: object, backends: BackendRules, asked: Asked) -> Patch:
    """Check a body and split it.

    Raises InvalidRequest, InvalidOption or NotAvailable.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("the request body must be a JSON object")
    structured = "backend_type" in body or "backend_options" in body
    options: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    for key, value in body.items():
        if key in NOT_BUILT:
            _refuse_unbuilt(key, value)
        elif key == "backend_options":
            engine |= _engine_options(value)
        elif key in _NAMES:
            options[key] = None if value is None else OPTIONS[key].check(key, value)
        elif structured:
            raise InvalidOption(
                f"unknown field {key!r}{_hint(key)}; known fields: {', '.join(_NAMES)}"
            )
        elif near := difflib.get_close_matches(key, _NAMES, 1, 0.85):
            raise InvalidOption(f"unknown field {key!r}: did you mean {near[0]!r}?")
        else:
            engine[key] = value
    if "backend_type" in options or not asked.now:
        options["backend_type"] = backends.known(options.get("backend_type"))
    canonical = backends.canonical[options.get("backend_type") or asked.now]
    given = canonical({k: _engine_value(k, v) for k, v in engine.items()}, asked.known)
    if not asked.allow_unknown:
        refuse_unknown(given, asked.known, asked.had, () if structured else _NAMES)
    return Patch(options, given, partial(renamed, canonical, asked.known))


def merge(
    now: InstanceOptions, patch: Patch, *, was: InstanceOptions | None = None
) -> InstanceOptions:
    """Apply a patch: None removes a field, `backend_options` merge one level deep.

    `was`: whose values returned masks stand for; default: `now`. Raises
    InvalidRequest for a mask that hides nothing.
    """
    blank = InstanceOptions()
    kind = patch.options.get("backend_type", now.backend_type)
    kept = now.backend_options if kind == now.backend_type else {}  # another's mean nothing to it
    given = unmasked(
        {**patch.options, "backend_options": patch.engine}, _as_body(now if was is None else was)
    )
    changed = given.pop("backend_options")
    same = {name for name in kept if patch.rename(name) in changed}  # under another of its names
    engine = {**{k: v for k, v in kept.items() if k not in same}, **changed}
    changes = {k: getattr(blank, k) if v is None else v for k, v in given.items()}
    left = {k: v for k, v in engine.items() if v is not None}
    return replace(now, **changes, backend_options=left)


def _as_body(options: InstanceOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _NAMES}


def _refuse_unbuilt(key: str, value: object) -> None:
    if value not in (None, False, "", []):
        raise NotAvailable(f"{key!r} is not available in this version; leave it out")


def _hint(key: str) -> str:
    near = difflib.get_close_matches(key, _NAMES, 1, 0.7)
    return f", did you mean {near[0]!r}?" if near else ""


def _object(key: str, value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{key!r} must be an object")
    return value


def _engine_options(value: object) -> Mapping[str, Any]:
    given = _object("backend_options", value)
    for name, one in given.items():
        if name in _NAMES and isinstance(one, Mapping):
            raise InvalidOption(
                f"cannot use {name!r} as an engine option: it is one of the instance; write it "
                "beside 'backend_options'"
            )
    return given


def _engine_value(key: str, value: object) -> OptionValue | None:
    if key == "extra_args" and isinstance(value, Mapping):  # the Go llamactl's form
        value = [w for k, v in value.items() for w in (f"--{k.lstrip('-')}", str(v)) if w]
    if isinstance(value, list):
        return [_scalar(key, item) for item in value]
    return None if value is None else _scalar(key, value)


def _scalar(key: str, value: object) -> str | int | float | bool:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidOption(f"engine option {key!r} must be a finite number")
    if not isinstance(value, str | int | float):
        raise InvalidOption(f"engine option {key!r} must be a string, number, boolean or a list")
    if isinstance(value, str):
        _check_text(key, value)
    elif not isinstance(value, bool) and abs(value) > 2**64:
        raise InvalidOption(f"engine option {key!r} is out of range")
    return value


def _check_text(key: str, value: str) -> None:
    if len(value) > _MAX_VALUE:
        raise InvalidOption(f"{key!r} is longer than {_MAX_VALUE} characters")
    if "\0" in value:
        raise InvalidOption(f"{key!r} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidOption(f"{key!r} is not valid Unicode") from exc


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{key!r} must be a string")
    _check_text(key, value)
    return value


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
    for name, text in _object(key, value).items():
        if not _VARIABLE.match(name):
            raise InvalidRequest(f"{name[:80]!r} is not a valid environment variable name")
        result[name] = _text(f"environment.{name}", text)
    return result


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > _MOST_TEXTS:
        raise InvalidRequest(f"{key!r} must be a list of at most {_MOST_TEXTS} strings")
    return [_text(key, one) for one in value]


def _aliases(key: str, value: object) -> list[str]:
    """Looser than names: clients ask for what they know, such as `gpt-4o` or `org/model:tag`."""
    names = _texts(key, value)
    for name in names:
        if not _ALIAS.match(name):
            raise InvalidRequest(
                f"alias {name[:140]!r} is not valid: no spaces, at most 200 characters"
            )
    if len({name.lower() for name in names}) < len(names):
        raise InvalidRequest("two aliases differ only in case")
    return names


def _variants(key: str, value: object) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for variant, body in _object(key, value).items():
        if not _ALIAS.match(variant):
            raise InvalidRequest(
                f"variant {variant[:140]!r} is not valid: no spaces, at most 200 characters"
            )
        what = f"variants.{variant}"
        given = _object(what, body)
        if unknown := given.keys() - {"set_params"}:
            raise InvalidRequest(f"{what} has no field {min(unknown)!r}; it takes 'set_params'")
        found[variant] = {"set_params": _params(f"{what}.set_params", given.get("set_params"))}
    if len(found) > _MOST_TEXTS:
        raise InvalidRequest(f"{key!r} has more than {_MOST_TEXTS} variants")
    if len({variant.lower() for variant in found}) < len(found):
        raise InvalidRequest("two variants differ only in case")
    return found


def _params(key: str, value: object) -> dict[str, object]:
    params = dict(_object(key, value))
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
        "other models that requests can ask for, by ID: the same engine with other parameters",
    ),
}  # fmt: skip
