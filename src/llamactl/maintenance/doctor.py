"""Is all well with an installation? Looks, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from llamactl.backends import DEFAULT
from llamactl.config import Settings, warning_of
from llamactl.core.errors import InvalidConfig, LlamactlError
from llamactl.core.instance import InstanceOptions
from llamactl.maintenance.backup import check, read_only, store_file
from llamactl.maintenance.data_path import form
from llamactl.maintenance.lost_contexts import lost_contexts
from llamactl.models import Catalog, Confinement
from llamactl.node import (
    CommandEngineProbe,
    DataDir,
    EngineBuilds,
    find_engine,
    installed,
    is_alive,
    is_free,
    makers,
    owner_of,
)

_LITTLE, _TOO_LITTLE = 2 << 30, 200 << 20  # bytes of disk
_FEW = 8  # ports
_CLOCK_S = 60.0


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice`: what to do, where there is something to do."""

    level: Level
    about: str
    said: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Each check by itself: one that fails hides no other."""
    found: list[Finding] = []
    for about, look in _CHECKS.items():
        try:
            found += [Finding(level, about, said, advice) for level, said, advice in look(settings)]
        except (OSError, LlamactlError, sqlite3.Error) as exc:
            found.append(Finding(Level.FAILURE, about, str(exc)))
    return found


_Said = Iterator[tuple[Level, str, str]]


def _data_dir(settings: Settings) -> _Said:
    data = settings.data
    if not data.is_dir():
        yield Level.WARNING, f"{data} does not exist yet", "start llamactl once to create it"
        return
    mode = stat.S_IMODE(data.stat().st_mode)
    if mode & 0o077:
        yield Level.WARNING, f"{data} is open to others ({mode:04o})", f"chmod 700 {data}"
    if not os.access(data, os.W_OK | os.X_OK):
        yield (
            Level.FAILURE,
            f"{data} is not writable",
            "change its owner to the user that runs llamactl",
        )
    else:
        yield Level.OK, str(data), ""
    key = data / "management_key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Level.FAILURE, f"{key} can be read by others", f"chmod 600 {key}, or create a new one"


def _keys(settings: Settings) -> _Said:
    given = [(key, "auth.management_keys") for key in settings.auth.management_keys if key]
    kept = settings.data / "management_key"
    if not given and kept.exists():
        given = [(kept.read_text(encoding="utf-8", errors="replace").strip(), str(kept))]
    weak = [said for key, where in given if (said := warning_of(key, where))]
    for said in weak:
        yield Level.WARNING, said, ""
    if not weak:
        yield Level.OK, "long enough", ""


def _disk(settings: Settings) -> _Said:
    for folder in {_there(settings.data), _there(settings.logs)}:
        free = shutil.disk_usage(folder).free
        level = Level.OK if free > _LITTLE else Level.WARNING
        level = Level.FAILURE if free < _TOO_LITTLE else level
        advice = (
            "" if level is Level.OK else "free some disk space; llamactl needs it to save changes"
        )
        yield level, f"{free >> 20} MiB free for {folder}", advice


def _there(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _engine(settings: Settings) -> _Said:
    kind = DEFAULT.kind
    given, builds = settings.backends.engine(kind), EngineBuilds(settings.data)
    engine = find_engine(kind, given, builds)
    asyncio.run(CommandEngineProbe(kind, lambda: given, builds).ask(kind.questions.version))
    yield Level.OK, engine.label, engine.advice


def _gpu(settings: Settings) -> _Said:
    """Can the default engine use the one that is there?"""
    kind = DEFAULT.kind
    given, builds = settings.backends.engine(kind), EngineBuilds(settings.data)
    probe = CommandEngineProbe(kind, lambda: given, builds)
    found = asyncio.run(installed(kind, given, builds, probe))
    blind = found.devices is not None and not found.devices and bool(makers())
    yield Level.WARNING if blind else Level.OK, found.gpu, found.advice if blind else ""


def _ports(settings: Settings) -> _Said:
    low, high = settings.instances.port_range
    free = sum(is_free(port) for port in range(low, high + 1))
    if free < _FEW:
        level = Level.WARNING if free else Level.FAILURE
        yield level, f"{free} of ports {low} to {high} are free", "widen instances.port_range"
    else:
        yield Level.OK, f"{free} of ports {low} to {high} are free", ""


def _store(settings: Settings) -> _Said:
    try:
        file = store_file(settings)
    except InvalidConfig:
        yield Level.OK, "not SQLite: use its own tools", ""
        return
    if not file.exists():
        yield Level.OK, f"{file} does not exist yet", ""
        return
    version = check(file)
    if not os.access(file, os.W_OK):
        yield (
            Level.FAILURE,
            f"{file} is not writable",
            "change its owner to the user that runs llamactl",
        )
    yield Level.OK, f"{file} is intact, schema {version}", ""


def _existing(settings: Settings) -> Path | None:
    """The store's file, if it is one and there."""
    with suppress(InvalidConfig):
        file = store_file(settings)
        return file if file.exists() else None
    return None


def _processes(settings: Settings) -> _Said:
    """Stale entries, strangers on our ports."""
    if (file := _existing(settings)) is None:
        return
    with read_only(file) as store:
        rows = store.execute(
            "SELECT i.name, p.pid, p.start_time, p.boot_id, p.port FROM processes p "
            "JOIN instances i ON i.id = p.instance_id"
        ).fetchall()
    served = _owner(settings)
    for name, pid, start, boot, port in rows:
        if is_alive(pid, start, boot):
            word = "runs" if served else "running without llamactl; the next one will adopt it"
            yield Level.OK if served else Level.WARNING, f"{name} (pid {pid}) {word}", ""
        elif (stranger := owner_of(port)) is not None:
            yield (
                Level.WARNING,
                f"{name} is gone, and pid {stranger or 'unknown'} has its port {port}",
                "llamactl uses another port; end that process if it should not be running",
            )
        elif not served:
            yield Level.OK, f"{name} (pid {pid}) is gone; it will be started again if wanted", ""
    yield Level.OK, f"served by pid {served}" if served else "llamactl is not running for it", ""


def _definitions(settings: Settings) -> _Said:
    """Instances that were defined before the settings forbade it."""
    resolve = Catalog(settings.model_cache(os.environ), settings.models.folders).resolve
    confinement = Confinement(lambda: settings, resolve)
    for root in settings.roots:
        if not root.is_dir():
            yield Level.WARNING, f"{root}, of model_roots, is not there", "make it, or correct that"
    if not confinement.is_bound or (file := _existing(settings)) is None:
        return
    with read_only(file) as store:
        rows = store.execute(
            "SELECT name, options FROM instances WHERE source = '' ORDER BY name"
        ).fetchall()
    refused = 0
    for name, options in rows:
        problems = confinement.problems(_options(options))
        refused += bool(problems)
        for problem in problems:
            advice = "change the instance, or the settings; it is not started until then"
            yield Level.WARNING, f"{name} {problem}", advice
    if not refused:
        yield Level.OK, "all that are stored are allowed by the settings", ""


def _contexts(settings: Settings) -> _Said:
    """Of conversations, that can't be kept though that is wanted."""
    if (file := _existing(settings)) is None:
        return
    with read_only(file) as store:
        rows = store.execute("SELECT name, options, source FROM instances ORDER BY name").fetchall()
    lost = lost_contexts(settings, [(name, _options(text), source) for name, text, source in rows])
    for one in lost:
        level = Level.WARNING if one.insists else Level.OK
        yield level, f"those of {one.name} are lost when it stops: {one.why}", ""
    if not lost:
        yield Level.OK, "kept when their instance stops, where that is wanted", ""


def _options(text: str) -> InstanceOptions:
    return InstanceOptions(**orjson.loads(text))


def _owner(settings: Settings) -> int | None:
    """The pid of who holds the data directory."""
    import fcntl

    try:
        with DataDir(settings).lock_file.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read(20) or b"0")
    except (FileNotFoundError, ValueError):
        pass
    return None


def _clock(settings: Settings) -> _Said:
    if (file := _existing(settings)) is None:
        return
    with read_only(file) as store:
        newest = store.execute("SELECT max(at) FROM instance_events").fetchone()[0] or 0.0
    ahead = newest - time.time()
    if ahead > _CLOCK_S:
        yield (
            Level.WARNING,
            f"the newest event is {ahead:.0f} s in the future",
            "set the clock: it was set back, or was wrong at that time",
        )
    else:
        yield Level.OK, "no event is in the future", ""


def _kernel(settings: Settings) -> _Said:
    try:
        os.close(os.pidfd_open(os.getpid()))
        yield Level.OK, "pidfd", ""
    except OSError as exc:
        yield Level.FAILURE, f"no pidfd, so no engine can run: {exc}", "use Linux 5.3 or later"


_CHECKS: dict[str, Callable[[Settings], _Said]] = {
    "data directory": _data_dir,
    "management keys": _keys,
    "disk": _disk,
    "engine": _engine,
    "data path": lambda _: iter([(Level.OK, form(), "")]),
    "gpu": _gpu,
    "ports": _ports,
    "store": _store,
    "processes": _processes,
    "definitions": _definitions,
    "contexts": _contexts,
    "clock": _clock,
    "kernel": _kernel,
}
