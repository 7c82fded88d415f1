"""Which engines did not use what they had restored: kept, since a restart changes nothing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from llamactl.policy.context_reuse import MISSES, UNUSED

FOLDER = "contexts"  # of the data directory
_MOST = 1000  # models and builds
_LONGEST = 1 << 20  # bytes
_SORTS = "sorts"  # among the counts: by sort of definition, what its engine was last seen with


class Verdicts:
    """By what a context fits only with. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, data: Path) -> Verdicts:
        return cls(data / FOLDER / "verdicts.json")

    def __repr__(self) -> str:
        return f"<Verdicts in {self._path}>"

    def refusal(self, fits: Mapping[str, str], sort: str = "") -> str:
        """Why its contexts are not kept any longer; "" if they are.

        `sort`: of its definition, as `backends.contexts.sort_of`.
        """
        key, kept = _key(fits), self._read()
        misses, sorts = _counts(kept), _sorts(kept)
        is_refused = misses.get(key, 0) >= MISSES
        if sort and (is_refused or sort in sorts) and sorts.get(sort) != key:
            self._write(misses, {**sorts, sort: key})
        return UNUSED if is_refused else ""

    def note(self, fits: Mapping[str, str], sort: str = "", *, used: bool) -> int:
        """How often in a row they were not used."""
        key, kept = _key(fits), self._read()
        misses, sorts = _counts(kept), _sorts(kept)
        before = misses.pop(key, 0)
        now = 0 if used else before + 1
        if now != before:
            counts = dict([*misses.items(), (key, now)][-_MOST:]) if now else misses
            self._write(counts, {**sorts, sort: key} if sort and now else sorts)
        return now

    def unused(self) -> frozenset[str]:
        """Sorts of definitions whose contexts are not kept any longer, as far as was seen."""
        kept = self._read()
        misses = _counts(kept)
        return frozenset(s for s, key in _sorts(kept).items() if misses.get(key, 0) >= MISSES)

    def _write(self, misses: Mapping[str, int], sorts: Mapping[str, str]) -> None:
        known = [(sort, key) for sort, key in sorts.items() if key in misses]
        new = self._path.with_suffix(".new")
        with suppress(OSError):  # it is judged again then
            new.write_bytes(orjson.dumps({**misses, _SORTS: dict(known[-_MOST:])}))
            new.replace(self._path)

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            if self._path.stat().st_size <= _LONGEST:
                found = orjson.loads(self._path.read_bytes())
                if isinstance(found, dict):
                    return found
        return {}


def _counts(kept: Mapping[str, Any]) -> dict[str, int]:
    return {key: n for key, n in kept.items() if isinstance(n, int)}


def _sorts(kept: Mapping[str, Any]) -> dict[str, str]:
    found = kept.get(_SORTS)
    rows = found.items() if isinstance(found, dict) else ()
    return {sort: key for sort, key in rows if isinstance(key, str)}


def _key(fits: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(orjson.dumps(fits, option=orjson.OPT_SORT_KEYS), digest_size=16)
    return digest.hexdigest()


def unused_contexts(data: Path) -> frozenset[str]:
    """As `Node.unused_contexts`, from outside."""
    return Verdicts.of(data).unused()
