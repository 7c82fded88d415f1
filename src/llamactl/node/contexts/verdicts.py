"""Which engines did not use what they had restored: kept, since a restart changes nothing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from llamactl.policy.context_reuse import MISSES

_MOST = 1000  # models and builds
_LONGEST = 1 << 20  # bytes
UNUSED = (
    "this engine computed what it had restored again; for models with sliding-window attention set "
    "swa_full, for others set keep_context to off"
)


class Verdicts:
    """By what a context fits only with. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"<Verdicts in {self._path}>"

    def refusal(self, fits: Mapping[str, str]) -> str:
        """Why its contexts are not kept any longer; "" if they are."""
        return UNUSED if self._misses().get(_key(fits), 0) >= MISSES else ""

    def note(self, fits: Mapping[str, str], *, used: bool) -> int:
        """How often in a row they were not used."""
        key, misses = _key(fits), self._misses()
        before = misses.pop(key, 0)
        now = 0 if used else before + 1
        if now != before:
            kept = dict([*misses.items(), (key, now)][-_MOST:]) if now else misses
            new = self._path.with_suffix(".new")
            with suppress(OSError):  # it is judged again then
                new.write_bytes(orjson.dumps(kept))
                new.replace(self._path)
        return now

    def _misses(self) -> dict[str, int]:
        with suppress(OSError, ValueError):
            if self._path.stat().st_size <= _LONGEST:
                found = orjson.loads(self._path.read_bytes())
                if isinstance(found, dict):
                    return {k: n for k, n in found.items() if isinstance(n, int)}
        return {}


def _key(fits: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(orjson.dumps(fits, option=orjson.OPT_SORT_KEYS), digest_size=16)
    return digest.hexdigest()
