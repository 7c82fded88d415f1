"""From llama-swap's configuration, as its config.example.yaml has it:
https://github.com/mostlygeek/llama-swap
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llamactl.core.errors import LlamactlError
from llamactl.migration.llama_swap_macros import Macros
from llamactl.migration.llama_swap_model import Model
from llamactl.migration.report import Migrated, Names, flat
from llamactl.migration.source import number, shown, tidy
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_TOP = {
    "logTimeFormat": "the log has only one time format",
    "logToStdout": "each engine has its own log file: `llamactl logs`",
    "metricsMaxInMemory": "see `/metrics`",
    "captureBuffer": "requests are not captured",
    "sendLoadingState": "see server.loading_comments",
    "includeAliasesInList": "aliases are listed with their models",
    "matrix": "available memory decides what runs together: instances.memory_budget",
    "groups": "available memory decides what runs together; see `group` and instances.group_limits",
    "peers": "remote machines are not available in this version",
}
_LAST_PORT = 65535
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "error": "error"}


def _level(value: object) -> str:
    if str(value).lower() not in _LEVELS:
        raise ValueError
    return _LEVELS[str(value).lower()]


def _ports(value: object) -> list[int]:
    first = int(number(value, 1))
    if first > _LAST_PORT:
        raise ValueError
    return [first, min(_LAST_PORT, first + 1000)]


_SETTINGS: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "healthCheckTimeout": ("instances.start_timeout", lambda seconds: max(15, number(seconds))),
    "logLevel": ("log.level", _level),
    "startPort": ("instances.port_range", _ports),
    "globalTTL": ("instances.default_idle_timeout", lambda seconds: number(seconds) / 60),
}


def from_llama_swap(
    config: object, environ: Mapping[str, str], engine: Vocabulary = UNREAD
) -> Migrated:
    """Raises LlamactlError if it is not a llama-swap configuration.

    `engine`: the options of the engine; empty if it can't be asked.
    """
    tree = tidy(config)
    models = tree.get("models") if isinstance(tree, Mapping) else None
    if not isinstance(tree, Mapping) or not (models is None or isinstance(models, Mapping)):
        raise LlamactlError("not a llama-swap configuration: `models` must be a mapping")
    found, macros = Migrated(), Macros(environ)
    macros.define(tree.get("macros"), "macros", found)
    names = Names()
    by_id = {model_id: names.name_for(model_id) for model_id in models or {}}
    ttl = _ttl(tree, found)
    for model_id, name in by_id.items():
        given = (models or {})[model_id]
        Model(model_id, name, macros, names, found, engine).take(given, ttl)
    for key, value in tree.items():
        if key not in ("models", "macros"):
            _take_top(key, value, by_id, found)
    return found


def _ttl(tree: Mapping[str, Any], found: Migrated) -> float:
    """Seconds, where a model says nothing; without any it is never unloaded."""
    given = tree.get("globalTTL")
    try:
        return number(given or 0)
    except ValueError:
        return 0


def _take_top(key: str, value: Any, names: Mapping[str, str], found: Migrated) -> None:
    if key in _SETTINGS:
        _take_setting(key, value, found)
    elif key == "apiKeys":
        for at in range(len(value)) if isinstance(value, list) else ():
            found.left_out(f"{key}.{at}", "create keys with `llamactl keys create`")
        if not isinstance(value, list) or not value:
            found.left_out(key, "create keys with `llamactl keys create`")
    else:
        for path, inner in flat(value, key):
            if path == "hooks.on_startup.preload" and isinstance(inner, list):
                _take_preload(path, inner, names, found)
            else:
                found.left_out(path, _TOP.get(key, "no equivalent"))


def _take_setting(key: str, value: Any, found: Migrated) -> None:
    path, convert = _SETTINGS[key]
    if value is None:
        found.carried(key, "not given")
        return
    try:
        found.set(path, convert(value))
        found.carried(key, path)
    except (ValueError, OverflowError):
        found.left_out(key, f"{shown(value)} is not valid")


def _take_preload(path: str, given: list[Any], names: Mapping[str, str], found: Migrated) -> None:
    wanted = [names.get(str(one), "") for one in given]
    for name in wanted:
        if name in found.instances:
            found.instances[name]["preload"] = True
    found.carried(path, "preload of those instances: they are started when llamactl is")
    for one, name in zip(given, wanted, strict=True):
        if name not in found.instances:
            found.left_out(path, f"{shown(one)}: no such model comes in")
