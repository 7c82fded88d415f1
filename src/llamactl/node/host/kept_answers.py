"""What engines said of themselves, on disk: some take half a minute to say it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MOST = 20  # files


class KeptAnswers:
    """By what identifies engine and question. What can't be read or written is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: Sequence[str]) -> str | None:
        with suppress(OSError):
            return self._file(key).read_text(encoding="utf-8")
        return None

    def put(self, key: Sequence[str], answer: str) -> None:
        file = self._file(key)
        fresh = file.with_suffix(".new")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(answer, encoding="utf-8")
            fresh.replace(file)
            for old in sorted(self._folder.glob("*.txt"), key=_changed)[:-_MOST]:
                old.unlink()

    def _file(self, key: Sequence[str]) -> Path:
        digest = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / f"{digest[:32]}.txt"


def _changed(file: Path) -> float:
    return file.stat().st_mtime
