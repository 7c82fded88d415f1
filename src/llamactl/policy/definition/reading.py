"""From a request's body to an instance's options: both forms, merged, checked. Pure.

Flat: `{"model": "/m.gguf", "ctx_size": 4096}`, unknown fields are engine options.
Structured: with `backend_type` or `backend_options` present, the top level is strict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.core.instance import Container, InstanceOptions, OptionValue
from llamactl.core.secrets.masking import unmasked
from llamactl.policy.definition.backend_rules import Asked, BackendRules, renamed
from llamactl.policy.definition.checks import check_text, field_named, read_object
from llamactl.policy.definition.fields import OPTIONS
from llamactl.policy.definition.near import nearest
from llamactl.policy.definition.unknown import refuse_unknown

_NAMES = tuple(f.name for f in fields(InstanceOptions))
_ENGINES_OWN = ("nnodes",)  # near to one of those, and an option of vLLM
_ALMOST_SURE = 0.85  # that an option of the engine is one of those, misspelt


@dataclass(frozen=True, slots=True)
class Patch:
    """What a body says: instance options and engine options; None removes one."""

    options: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, OptionValue | None] = field(default_factory=dict)
    # The name that an option of a stored definition has by the rules of this patch.
    rename: Callable[[str], str] = str


def read_patch(body: object, backends: BackendRules, asked: Asked) -> Patch:
    """Check a body and split it.

    Raises InvalidRequest or InvalidOption.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("the request body must be a JSON object")
    structured = "backend_type" in body or "backend_options" in body
    options: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    for key, value in body.items():
        if key == "backend_options":
            engine |= _engine_options(value)
        elif key in _NAMES:
            with field_named(key):
                options[key] = None if value is None else OPTIONS[key].check(key, value)
        elif structured:
            near = nearest(key, _NAMES)
            hint = f", did you mean {near!r}?" if near else ""
            raise InvalidOption(f"unknown field {key!r}{hint}; known fields: {', '.join(_NAMES)}")
        elif near := _meant(key, value, asked):
            raise InvalidOption(f"unknown field {key!r}: did you mean {near!r}?")
        else:
            engine[key] = value
    if "backend_type" in options or not asked.now:
        options["backend_type"] = backends.known(options.get("backend_type"))
    canonical = backends.canonical[options.get("backend_type") or asked.now]
    given = canonical({k: _engine_value(k, v) for k, v in engine.items()}, asked.known)
    if not asked.allow_unknown:
        refuse_unknown(given, asked.known, asked.had, () if structured else _NAMES)
    return Patch(options, given, partial(renamed, canonical, asked.known))


def _meant(key: str, value: object, asked: Asked) -> str:
    """The field of an instance that was surely meant; "": it is an option of the engine."""
    near = "" if key in _ENGINES_OWN else nearest(key, _NAMES, _ALMOST_SURE)
    if not near or asked.known.named(key):
        return ""
    takes_object = near in OPTIONS and OPTIONS[near].schema.get("type") == "object"
    return near if isinstance(value, Mapping) or not takes_object else ""


def merge(
    now: InstanceOptions, patch: Patch, *, was: InstanceOptions | None = None
) -> InstanceOptions:
    """Apply a patch: None removes a field; `backend_options` and `container` merge by their fields.

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
    if changes.get("container") is not None:
        changes["container"] = _merged(now.container, changes["container"])
    left = {k: v for k, v in engine.items() if v is not None}
    return replace(now, **changes, backend_options=left)


def _merged(now: Container | None, given: Mapping[str, Any]) -> Container:
    fields = {**(now.given if now else {}), **given}
    return Container(**{k: v for k, v in fields.items() if v is not None})


def _as_body(options: InstanceOptions) -> dict[str, Any]:
    body = {name: getattr(options, name) for name in _NAMES}
    return body | {"container": options.container.given if options.container else None}


def _engine_options(value: object) -> Mapping[str, Any]:
    given = read_object("backend_options", value)
    for name, one in given.items():
        if name in _NAMES and isinstance(one, Mapping):
            raise InvalidOption(
                f"{name!r} is an option of the instance, not of the engine; move it out of "
                "'backend_options'"
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
        check_text(key, value)
    elif not isinstance(value, bool) and abs(value) > 2**64:
        raise InvalidOption(f"engine option {key!r} is out of range")
    return value
