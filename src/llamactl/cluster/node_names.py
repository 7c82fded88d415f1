"""Names that the server remembers: nodes that were seen or drained, devices out of service."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import orjson

from llamactl.core.errors import InvalidConfig
from llamactl.node.host.private_file import write_private


class NodeNames:
    """A file."""

    def __init__(self, folder: Path, what: str, kind: str = "nodes") -> None:
        """`what` they are. `kind`: of what is named."""
        self._file = folder / f"{what}_{kind}.json"

    def __repr__(self) -> str:
        return f"<NodeNames in {self._file}>"

    def read(self) -> Set[str]:
        """Names. Raises InvalidConfig."""
        try:
            found = orjson.loads(self._file.read_bytes())
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as exc:
            raise InvalidConfig(f"cannot read {self._file}: {exc}; remove it") from exc
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise InvalidConfig(f"{self._file} is not a list of names; remove it")
        return frozenset(found)

    def keep(self, names: Set[str]) -> None:
        """Raises OSError."""
        if names or self._file.exists():
            write_private(self._file, orjson.dumps(sorted(names)), synced=True)
