"""The node's own record of the processes that it prepared: one file, which is only appended to.

It outlives the control process, so that what runs here can be named while there is none. A line is
either a record or a process that has ended. It holds the engines' keys: only its owner may read it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.instance import InstanceOptions

_COMPACT_AT = 1 << 20  # bytes that were appended since it was last rewritten


class Ledger:
    """Written to before a process is released. Lost writes are only logged by who writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._alive: dict[ProcessId, ProcessRecord] | None = None
        self._appended = 0

    def __repr__(self) -> str:
        return f"<Ledger {self._path}>"

    @property
    def records(self) -> Sequence[ProcessRecord]:
        """Of the processes that are not known to have ended."""
        return [*self._known.values()]

    def prepared(self, record: ProcessRecord) -> None:
        """Raises OSError; the process must not be released then."""
        known = self._known  # read before the first write
        self._append({"prepared": asdict(record)})
        known[record.process] = record

    def ended(self, process: ProcessId) -> None:
        """Raises OSError; the entry is then found to be out of date by the next reader."""
        if self._known.pop(process, None) is None:
            return
        self._append({"ended": [process.replica_id, process.generation]})
        if self._appended > _COMPACT_AT:
            self._compact()

    @property
    def _known(self) -> dict[ProcessId, ProcessRecord]:
        if self._alive is None:
            self._alive = _read(self._path)
        return self._alive

    def _append(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry) + b"\n"
        if not self._appended:
            line = b"\n" + line  # the line before it may be cut short
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(fd, line)
            if written != len(line):
                os.ftruncate(fd, os.fstat(fd).st_size - written)
                raise OSError(28, "no space left on device")
        finally:
            os.close(fd)
        self._appended += len(line)

    def _compact(self) -> None:
        """Rewrite it with what is alive."""
        fresh = self._path.with_suffix(".new")
        lines = [orjson.dumps({"prepared": asdict(record)}) for record in self._known.values()]
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
        fresh.replace(self._path)
        self._appended = 0


def _read(path: Path) -> dict[ProcessId, ProcessRecord]:
    """What is legible of it: a line may be cut short where the disk was full."""
    alive: dict[ProcessId, ProcessRecord] = {}
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, TypeError, KeyError):
                entry = orjson.loads(line)
                if "ended" in entry:
                    alive.pop(ProcessId(*entry["ended"]), None)
                else:
                    record = _record(entry["prepared"])
                    alive[record.process] = record
    return alive


def _record(values: dict[str, Any]) -> ProcessRecord:
    options = InstanceOptions(**values["options"])
    return ProcessRecord(**{**values, "options": options, "command": tuple(values["command"])})
