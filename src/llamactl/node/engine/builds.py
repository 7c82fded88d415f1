"""Engines that were built on this machine, for its processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from llamactl.backends import Kind
from llamactl.node.host.processor import instruction_sets

_RECORD = "build.json"


@dataclass(frozen=True, slots=True)
class Build:
    program: Path
    origin: str  # of its source code, for people
    needs: frozenset[str] = frozenset()  # instruction sets

    @property
    def label(self) -> str:
        return f"{self.program} (built on this machine from {self.origin})"

    @property
    def runs_here(self) -> bool:
        """False if it was built for another processor: it would end by SIGILL."""
        return self.needs <= instruction_sets() and self.program.is_file()

    def record(self) -> None:
        """Write down what it is, beside it. Raises OSError."""
        said = {"origin": self.origin, "needs": sorted(self.needs)}
        self.program.with_name(_RECORD).write_bytes(orjson.dumps(said))

    @classmethod
    def read(cls, program: Path) -> Self:
        """Raises OSError, or ValueError for a record that is not one."""
        said: Any = orjson.loads(program.with_name(_RECORD).read_bytes())
        match said:
            case {"origin": str(origin), "needs": [*needs]} if all(
                isinstance(n, str) for n in needs
            ):
                return cls(program, origin, frozenset(needs))
        raise ValueError(f"{program.with_name(_RECORD)} does not describe a build")


class EngineBuilds:
    """The folder of the data directory where `llamactl engine build` puts them."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "engines"

    def current(self, kind: Kind) -> Path:
        """The folder of the one that is used; there may be none."""
        return self.folder / kind.section

    def serving(self, kind: Kind) -> Build | None:
        """The one that serves instead of the built-in engine."""
        if kind.built_in is None or kind.built_in.better is None:
            return None
        try:
            build = Build.read(self.current(kind) / kind.built_in.better.program)
        except (OSError, ValueError):
            return None
        return build if build.runs_here else None
