"""Which part of all logs is kept: the rules for their writers, and what these leave to llamactl.

A writer ends a full file and lets the oldest archives go, which is what bounds a log. Archives are
compressed, and let go by age, in here, where that slows no engine down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llamactl.config import InstanceLogging
from llamactl.core.ports.engines import LogFile
from llamactl.node.logs import archives
from llamactl.node.logs.log_pipe import rules_file
from llamactl.observe import logger

_LOOK_S = 2.0
_TIDY_S = 600.0
log = logger("runtime")


@dataclass(frozen=True, slots=True)
class RotationRules:
    max_size: int  # bytes of a log before it becomes an archive
    max_files: int  # archives
    max_age: float  # seconds; 0: as old as they get
    compress: bool

    @classmethod
    def of(cls, given: InstanceLogging) -> RotationRules | None:
        """None where nothing is to be rotated."""
        if not given.log_rotation_enabled:
            return None
        return cls(
            given.log_rotation_max_size << 20,
            given.log_rotation_max_files,
            given.log_rotation_max_age * 86400,
            given.log_rotation_compress,
        )


class Rotation:
    """One for all logs of a machine."""

    def __init__(self, data: Path, rules: Callable[[], RotationRules | None]) -> None:
        """`data`: the data directory. `rules`: those in force; None rotates nothing."""
        self._rules = rules
        self._file = rules_file(data)
        self._told: RotationRules | str | None = "nothing yet"
        self._faulty: set[Path] = set()

    def __repr__(self) -> str:
        return f"<Rotation {self.rules}>"

    @property
    def rules(self) -> RotationRules | None:
        return self._rules()

    def tell(self, rules: RotationRules | None) -> None:
        """Have the writers apply these rules, within a moment."""
        if rules == self._told:
            return
        text = f"{rules.max_size} {rules.max_files}\n" if rules else "0 0\n"
        with suppress(OSError):  # a full disk: the old rules hold until the next try
            part = self._file.with_name(f"{self._file.name}.part")
            part.write_text(text)
            part.replace(self._file)
            self._told = rules

    async def keep(
        self,
        written: Callable[[], Iterable[LogFile]],
        every: Callable[[], Iterable[LogFile]],
    ) -> None:
        """Look after these logs for ever, and a last time after they are written to no more.

        `every`: those too whose archives only grow old.
        """
        before: set[LogFile] = set()
        tidied = time.monotonic()
        while True:
            now = set(written())
            await _to_its_end(self.look, now | before)
            before = now
            if time.monotonic() - tidied > _TIDY_S:
                await _to_its_end(self.look, set(every()))
                tidied = time.monotonic()
            await asyncio.sleep(_LOOK_S)

    def look(self, logs: Iterable[LogFile]) -> None:
        rules = self.rules  # which a reload may change meanwhile
        self.tell(rules)
        for one in logs:
            try:
                one.tend()
                if rules is not None:
                    tidy(one.path, rules)
                self._faulty.discard(one.path)
            except OSError as exc:
                if one.path not in self._faulty:
                    log.warning("log_not_kept", path=str(one.path), reason=str(exc))
                self._faulty.add(one.path)


async def _to_its_end(work: Callable[[set[LogFile]], None], logs: set[LogFile]) -> None:
    working = asyncio.ensure_future(asyncio.to_thread(work, logs))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await working  # who comes after us must find nothing half done
        raise


def tidy(path: Path, rules: RotationRules) -> None:
    """The newest archive stays as it is: it is where the last lines before a moment ago are."""
    oldest = time.time() - rules.max_age if rules.max_age else 0.0
    archives.prune(path, most=rules.max_files, oldest=oldest)
    archives.drop_doubles(path)
    if rules.compress:
        for archive in archives.archives_of(path)[:-1]:
            if not archive.compressed:
                with suppress(FileNotFoundError):  # its turn to go came meanwhile
                    archives.compress(archive)
