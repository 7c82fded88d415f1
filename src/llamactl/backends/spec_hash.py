"""Which process would a definition have? Only what changes this needs another one."""

from __future__ import annotations

import hashlib

import orjson

from llamactl.backends.containers import container_of
from llamactl.backends.registry import backend_of
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings


def spec_hash(settings: EngineSettings, options: InstanceOptions) -> str:
    """Of all that people gave for a command: only what changes this needs another process.

    It begins with a number that changes with this function: of two that differ in it nothing is
    known, and a new version must not restart every model.
    """
    given = [
        options.command_override or settings.command, settings.args, settings.environment,
        options.backend_options, options.environment, options.die_with_parent,
    ]  # fmt: skip
    if (container := container_of(settings, options)) is not None:
        given.append(container)  # of others the hash is what it was before there were any
    if options.idle_action == "sleep":
        mode = backend_of(options.backend_type).sleep
        given.append(["sleep", options.idle_timeout if mode and mode.by_itself else None])
    if options.preset_ini:
        given.append(options.preset_ini)
    digest = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"1:{digest[:62]}"


def spec_matches(recorded: str, now: str) -> bool:
    """Was this given, as far as can be known?"""
    return recorded == now or recorded.partition(":")[0] != now.partition(":")[0]
