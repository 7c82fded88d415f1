"""The fields of a definition: how each is checked, and its description. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from llamactl.core.bounded_yaml import no_truth
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import IDLE_ACTIONS, KEEP_CONTEXT, check_node
from llamactl.policy.definition.checks import (
    MAX_VALUE,
    MOST_TEXTS,
    STRING,
    STRINGS,
    VARIABLES,
    Schema,
    check_json,
    environment,
    read_object,
    text,
    texts,
)
from llamactl.policy.definition.container_fields import CONTAINER, read_container
from llamactl.policy.definition.warm_up import WARM_UP, read_warm_up
from llamactl.policy.scheduling.labels import MOST_LABELS, read_labels

_REPLICA = re.compile(r"@[0-9]+\Z")
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\Z", re.ASCII)
_MOST_NODES = 64
MOST_REPLICAS = 64
_MOST_RANK = 10
_MOST_COUNT = 10**6
_MOST_SPAN = 10**7
_ALIAS = re.compile(r"[!-~]{1,200}\Z")


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key!r} must be true or false")
    return value


def _whole(key: str, value: object, low: int, high: int, hint: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidRequest(f"{key!r} must be a whole number from {low} to {high}{hint}")
    return value


def _count(key: str, value: object) -> int:
    return _whole(key, value, 0, _MOST_COUNT)


def _rank(key: str, value: object) -> int:
    return _whole(key, value, -_MOST_RANK, _MOST_RANK)


def _span(key: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= _MOST_SPAN
    ):
        raise InvalidRequest(f"{key!r} must be a number from 0 to {_MOST_SPAN}")
    return value


def _check_served(what: str, names: Collection[str], several: str) -> None:
    """Looser than names: clients ask for what they know, such as `gpt-4o` or `org/model:tag`."""
    for name in names:
        if not _ALIAS.match(name):
            raise InvalidRequest(
                f"{what} {name[:140]!r} is not valid: no spaces, at most 200 characters"
            )
        if _REPLICA.search(name):
            raise InvalidRequest(
                f"{what} {name[:140]!r} is not valid: names that end in @ and a number are those "
                "of replicas"
            )
    if len({name.lower() for name in names}) < len(names):
        raise InvalidRequest(f"two {several} differ only in case")


def _aliases(key: str, value: object) -> list[str]:
    names = texts(key, value)
    _check_served("alias", names, "aliases")
    return names


def _variants(key: str, value: object) -> dict[str, dict[str, object]]:
    variants, found = read_object(key, value), dict[str, dict[str, object]]()
    if len(variants) > MOST_TEXTS:
        raise InvalidRequest(f"{key!r} has more than {MOST_TEXTS} variants")
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
        text(key, name)
    check_json(key, params, MAX_VALUE)
    return params


def _one_of(words: Sequence[str]) -> Callable[[str, object], str]:
    """Or nothing."""

    def check(key: str, value: object) -> str:
        value = no_truth(value)
        if value not in ("", *words):
            raise InvalidRequest(f"{key!r} must be one of {', '.join(words)}")
        return str(value)

    return check


def _nodes(key: str, value: object) -> list[str]:
    names = texts(key, value or [])
    if len(names) > _MOST_NODES:
        raise InvalidRequest(f"{key!r} may name {_MOST_NODES} nodes at most")
    for name in names:
        check_node(name)
    return names


def _replicas(key: str, value: object) -> int | dict[str, int]:
    if isinstance(value, str) and (written := _RANGE.match(value)):
        value = {"min": int(written[1]), "max": int(written[2])}
    if not isinstance(value, Mapping):
        return _whole(key, value, 1, MOST_REPLICAS, ", or a range such as '1-4'")
    if set(value) != {"min", "max"}:
        raise InvalidRequest(f"{key!r} must be a number, or have the fields 'min' and 'max'")
    low, high = (_whole(f"{key}.{name}", value[name], 1, MOST_REPLICAS) for name in ("min", "max"))
    if low > high:
        raise InvalidRequest(f"'{key}.min' is {low}, which is more than '{key}.max', {high}")
    return low if low == high else {"min": low, "max": high}


def _stripped(key: str, value: object) -> list[str]:
    names = texts(key, value)
    if "model" in names:
        raise InvalidRequest("'model' can't be stripped: it is needed to route requests")
    return names


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a definition: how it is checked, and its description."""

    check: Callable[[str, object], object]
    schema: Schema
    about: str


_BOOLEAN: Schema = {"type": "boolean"}
_SPAN: Schema = {"type": "number", "minimum": 0, "maximum": _MOST_SPAN}
_PARAMETERS: Schema = {"type": "object", "additionalProperties": True}

_SOME_REPLICAS: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS}
_RANGE_OF_REPLICAS: Schema = {
    "type": "object", "required": ["min", "max"], "additionalProperties": False,
    "properties": {
        "min": {**_SOME_REPLICAS, "description": "replicas that run whenever the instance runs"},
        "max": {**_SOME_REPLICAS, "description": "most replicas that may run when requests queue"},
    },
}  # fmt: skip

OPTIONS: Mapping[str, Option] = {
    "backend_type": Option(text, STRING, "kind of engine that serves it"),
    "auto_restart": Option(_flag, _BOOLEAN, "restart it after a crash"),
    "max_restarts": Option(
        _count, {"type": "integer", "minimum": 0, "maximum": _MOST_COUNT},
        "consecutive restarts before it fails",
    ),
    "restart_delay": Option(_span, _SPAN, "seconds before the first restart; doubles each time"),
    "on_demand_start": Option(_flag, _BOOLEAN, "requests can start it"),
    "idle_timeout": Option(_span, _SPAN, "minutes without requests before it stops; 0 for never"),
    "environment": Option(
        environment, VARIABLES,
        "environment variables for its engine; shown masked",
    ),
    "group": Option(text, STRING, "group, for the limits in `instances.group_limits`"),
    "pinned": Option(_flag, _BOOLEAN, "never stopped to make room"),
    "priority": Option(
        _rank, {"type": "integer", "minimum": -_MOST_RANK, "maximum": _MOST_RANK},
        "instances with a lower priority are evicted first",
    ),
    "command_override": Option(text, STRING, "program to run instead of the configured engine"),
    "die_with_parent": Option(_flag, _BOOLEAN, "ends with llamactl, and is not adopted afterwards"),
    "aliases": Option(_aliases, STRINGS, "other names that requests can use"),
    "default_params": Option(_params, _PARAMETERS, "parameters added to requests that lack them"),
    "set_params": Option(_params, _PARAMETERS, "parameters set in all requests, overriding theirs"),
    "strip_params": Option(_stripped, STRINGS, "parameters removed from requests"),
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
    "preset_ini": Option(
        text, STRING, "several models and their options, as in a file for `--models-preset`"
    ),
    "docker_enabled": Option(
        _flag, _BOOLEAN, "run it in the container of the settings, or in none; default: as they say"
    ),
    "keep_context": Option(
        _one_of(KEEP_CONTEXT), {"type": "string", "enum": ["", *KEEP_CONTEXT]},
        "keep what its slots hold when it stops: `auto` (where its engine can), `on` or `off`",
    ),
    "idle_action": Option(
        _one_of(IDLE_ACTIONS), {"type": "string", "enum": ["", *IDLE_ACTIONS]},
        "what it does once it is idle: `stop`, or `sleep` where its engine can",
    ),
    "preload": Option(
        _flag, _BOOLEAN, "start it when llamactl has started, if there is room, without a request"
    ),
    "warm_up": Option(
        read_warm_up, WARM_UP, "request that its engine gets each time it is ready, before others"
    ),
    "nodes": Option(
        _nodes, {**STRINGS, "maxItems": _MOST_NODES},
        "names of the machines of the cluster that it may run on; default: all of them",
    ),
    "node_labels": Option(
        read_labels, {**VARIABLES, "maxProperties": MOST_LABELS},
        "labels that a machine must have for it to run there, such as `gpu`: `h200`",
    ),
    "replicas": Option(
        _replicas, {"anyOf": [_SOME_REPLICAS, _RANGE_OF_REPLICAS]},
        "number of processes that serve it, each started and placed separately; or `min` and "
        "`max`, scaled by queue time; default: one",
    ),
    "container": Option(read_container, CONTAINER, "container to run it in, by Docker or Podman"),
}  # fmt: skip
