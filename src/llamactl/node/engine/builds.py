"""Engines that were built on this machine, for its processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from llamactl.backends import Kind
from llamactl.node.host.processor import instruction_sets

_RECORD = "build.json"
_SHOWN = 3  # instruction sets


@dataclass(frozen=True, slots=True)
class Build:
    program: Path
    origin: str  # of its source code, for people
    needs: frozenset[str] = frozenset()  # instruction sets: without one of them it ends by SIGILL

    @property
    def label(self) -> str:
        return f"{self.program} (built on this machine from {self.origin})"

    def record(self) -> None:
        """Write down what it is, beside it. Raises OSError."""
        said = {"origin": self.origin, "needs": sorted(self.needs)}
        self.program.with_name(_RECORD).write_bytes(orjson.dumps(said))

    @classmethod
    def read(cls, program: Path) -> Self:
        """Raises OSError, or ValueError for a record that is none."""
        said: Any = orjson.loads(program.with_name(_RECORD).read_bytes())
        match said:
            case {"origin": str(origin), "needs": [*needs]} if all(
                isinstance(n, str) for n in needs
            ):
                program.stat()
                return cls(program, origin, frozenset(needs))
        raise ValueError(f"{program.with_name(_RECORD)} does not describe a build")


class EngineBuilds:
    """The folder of the data directory where `llamactl engine build` puts them."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "engines"

    def current(self, kind: Kind) -> Path:
        """The folder of the one that is used; there may be none."""
        return self.folder / kind.section

    def serving(self, kind: Kind) -> Build | str:
        """The one that serves instead of the built-in engine; why it can't; "" if there is none."""
        current = self.current(kind)
        if kind.built_in is None or kind.built_in.better is None or not current.exists():
            return ""
        try:
            build = Build.read(current / kind.built_in.better.program)
        except (OSError, ValueError) as exc:
            return f"the engine in {current} can't be used: {exc}"
        if lacking := build.needs - instruction_sets():
            sets = ", ".join(sorted(lacking)[:_SHOWN])
            return f"the engine in {current} was built for a processor that has {sets}"
        return build
