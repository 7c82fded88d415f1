"""Which projector goes with a model: the file by which it sees or hears.

It is beside the model, or above it where each quantisation has a folder of its own. Of several,
the one that bears the model's name; what bears another's is that one's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from llamactl.core.model import without_part
from llamactl.models.naming import PROJECTORS, is_projector, quant_of

_WORDS = re.compile(r"mmproj|model|[^a-z0-9]+")


class Projectors:
    """Of one tree of files."""

    def __init__(self, files: Iterable[Path]) -> None:
        """`files`: models and projectors."""
        self._by_folder: dict[Path, list[Path]] = defaultdict(list)
        names = set()
        for file in files:
            if is_projector(file.name):
                self._by_folder[file.parent].append(file)
            else:
                names.add(_name(file))
        # whose names each of them bears
        self._owners: dict[Path, set[str]] = {}
        for file in chain.from_iterable(self._by_folder.values()):
            own = _name(file)
            self._owners[file] = {name for name in names if _name_each_other(own, name)}

    def __repr__(self) -> str:
        return f"<Projectors {len(self._owners)}>"

    def of(self, model: Path, top: Path) -> Path | None:
        """The nearest one, at or below `top`."""
        for folder in (model.parent, *model.parent.parents):
            if not self._owners or not folder.is_relative_to(top):
                break
            if found := self._fitting(_name(model), self._by_folder.get(folder, ())):
                return found
        return None

    def _fitting(self, mine: str, there: Sequence[Path]) -> Path | None:
        own = [file for file in there if mine in self._owners[file]]
        return min(own or (f for f in there if not self._owners[f]), key=_rank, default=None)


def beside(model: Path) -> Path | None:
    """Of a file that is in no catalogue. Raises OSError."""
    top = top_of(model)
    folders = {model.parent, top}
    files = [file for folder in folders for file in folder.iterdir() if file.suffix == ".gguf"]
    return Projectors(files).of(model, top)


def top_of(model: Path) -> Path:
    """Where its projector may be at the highest: above folders that name a quantisation."""
    folder = model.parent
    while quant_of(f"{folder.name}.gguf") and folder.parent != folder:
        folder = folder.parent
    return folder


def _name(file: Path) -> str:
    """What its name says beside the quantisation: of which model it is."""
    stem = without_part(file.stem)
    if quant := quant_of(f"{stem}.gguf"):
        head, _, tail = stem.upper().rpartition(quant)
        stem = stem[: len(head)] + stem[len(stem) - len(tail) :]
    return _WORDS.sub("", stem.lower())


def _name_each_other(one: str, other: str) -> bool:
    return bool(one and other) and (one in other or other in one)


def _rank(file: Path) -> tuple[int, str]:
    quant = quant_of(file.name)
    return (PROJECTORS.index(quant) if quant in PROJECTORS else len(PROJECTORS), file.name)
