"""Creates, changes and deletes instances to match a set: from files or from a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping

from llamactl.control.definitions import Definitions
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.reading import reader
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.core.instance import InstanceOptions, check_name, name_key
from llamactl.observe import logger
from llamactl.policy.definition.reading import merge
from llamactl.policy.definition.reconcile import Changes, difference

FILES = "file"  # the source of instances that are declared in files
log = logger("control")


class Reconciler:
    """Nothing is changed unless every body of a set can be read."""

    def __init__(self, registry: Registry, definitions: Definitions) -> None:
        self._registry = registry
        self._definitions = definitions

    def has(self, source: str) -> bool:
        return any(managed.instance.source == source for managed in self._registry.defined())

    async def read(
        self, bodies: Mapping[str, object], source: str, *, allow_unknown: bool = False
    ) -> dict[str, InstanceOptions]:
        """Raises InvalidRequest with every fault of every body.

        `allow_unknown`: options that the engine's help does not list count as right.
        """
        known = {name_key(m.instance.name): m for m in self._registry.defined()}
        found: dict[str, InstanceOptions] = {}
        faults = []
        for name, body in bodies.items():
            try:
                check_name(name)
                managed = known.get(name_key(name))
                options = await self._options(body, managed, source, allow_unknown)
                await self._definitions.check(options, source=source)
                found[name] = options
            except LlamactlError as exc:
                faults.append(f"{name[:140]}: {exc.message}")
        doubles = len({name_key(name) for name in found}) < len(found)
        if doubles:
            faults.append("two names differ only in case")
        ports = Counter(o.backend_options.get("port") for o in found.values())
        faults += [f"port {port} is used {n} times" for port, n in ports.items() if port and n > 1]
        if faults:
            raise InvalidRequest("; ".join(faults))
        return found

    async def _options(
        self, body: object, managed: ManagedInstance | None, source: str, allow_unknown: bool
    ) -> InstanceOptions:
        """What a body makes of nothing; masks stand for what the instance of that name has."""
        was = managed.instance.options if managed else InstanceOptions()
        now = InstanceOptions(backend_options=was.backend_options)
        read = await reader(
            self._definitions.nodes, body, now, source=source, allow_unknown=allow_unknown
        )
        return merge(InstanceOptions(), read("", was.backend_options), was=was)

    def plan(self, wanted: Mapping[str, InstanceOptions], source: str, *, prune: bool) -> Changes:
        """`source`: whose set this is; with `prune` what is of it and not in the set is deleted."""
        defined = self._registry.defined()
        mine = [m.instance.name for m in defined if m.instance.source == source]
        now = {m.instance.name: m.instance.options for m in defined}
        return difference(now, wanted, may_go=mine if prune else ())

    async def apply(self, changes: Changes, source: str) -> dict[str, str]:
        """Carry the changes out; what could not be done, and why, by name."""
        failed: dict[str, str] = {}

        async def attempt(name: str, work: Awaitable[object]) -> None:
            try:
                await work
            except LlamactlError as exc:
                failed[name] = exc.message
                log.warning("not_reconciled", name=name, reason=exc.message)

        for name in changes.delete:
            await attempt(name, self._definitions.delete(name, force=False, source=source))
        for name, options in changes.update.items():
            await attempt(name, self._definitions.redefine(name, options, source=source))
        for name, options in changes.create.items():
            await attempt(name, self._definitions.define(name, options, source=source))
        return failed
