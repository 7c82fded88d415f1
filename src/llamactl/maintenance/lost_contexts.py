"""Instances whose contexts are lost when they stop, though they are to be kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from llamactl.backends import KINDS, backend_of
from llamactl.backends.contexts import why_not_kept
from llamactl.backends.contract import Start
from llamactl.config import Settings
from llamactl.core.instance import InstanceOptions, policies
from llamactl.models import Catalog, Confinement
from llamactl.node import CommandEngineProbe, EngineBuilds, Vocabularies, unused_contexts
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

Known = Callable[[InstanceOptions], Vocabulary]


@dataclass(frozen=True, slots=True)
class Lost:
    name: str  # of the instance
    why: str
    insists: bool  # its definition asks for them to be kept


def lost_contexts(
    settings: Settings, instances: Iterable[tuple[str, InstanceOptions, str]]
) -> list[Lost]:
    """`instances`: names, options and sources. Runs their engines, to ask which options they have.

    What the settings forbid to run is not asked.
    """
    known = _asking(settings)
    resolve = Catalog(settings.model_cache(os.environ), settings.models.folders).resolve
    confinement = Confinement(lambda: settings, resolve)
    unused = unused_contexts(settings.data)
    found: list[Lost] = []
    for name, options, source in instances:
        program = InstanceOptions(command_override=options.command_override)
        is_permitted = bool(source) or not confinement.problems(program)
        if why := _why_lost(settings, options, known if is_permitted else lambda _: UNREAD, unused):
            found.append(Lost(name, why, options.keep_context == "on"))
    return found


def _why_lost(
    settings: Settings, options: InstanceOptions, known: Known, unused: frozenset[str]
) -> str:
    if not policies(options, settings.instances.defaults).keep_context:
        return ""
    backend = backend_of(options.backend_type)
    start = Start.of(options, settings.engine_of(options))
    asked = known(options) if backend.contexts is not None else None
    return why_not_kept(backend, start, asked, unused, insists=options.keep_context == "on")


def _asking(settings: Settings) -> Known:
    builds, given = EngineBuilds(settings.data), settings.backends.engine
    probes = {kind.section: CommandEngineProbe(kind, partial(given, kind), builds)
              for kind in KINDS}  # fmt: skip
    vocabularies = Vocabularies(probes)
    return lambda options: asyncio.run(vocabularies.of(options))
