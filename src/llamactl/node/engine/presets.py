"""Presets that definitions hold as text, as the files that engines read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.core.instance import InstanceOptions

_UNUSED_S = 3600.0  # a start that is under way has one that no record names yet


class Presets:
    """A file for each text, named by it, so that no definition changes the file of another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def applied(self, options: InstanceOptions) -> InstanceOptions:
        """With its preset as the option that the engine has for such a file. Raises OSError."""
        option = backend_of(options.backend_type).preset_option
        if not (options.preset_ini and option):
            return options
        file = self._file(options)
        if not file.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fresh = file.with_suffix(".new")
            fresh.write_text(options.preset_ini, encoding="utf-8")
            fresh.chmod(0o600)
            fresh.replace(file)
        file.touch()
        given = {**options.backend_options, option: str(file)}
        return replace(options, backend_options=given, preset_ini="")

    def keep(self, used: Iterable[InstanceOptions]) -> None:
        """Remove what none of these has, and nobody asked for within an hour."""
        long_ago = time.time() - _UNUSED_S
        kept = {self._file(options) for options in used if options.preset_ini}
        for file in {*self._folder.glob("*.ini")} - kept:
            with suppress(OSError):
                if file.stat().st_mtime < long_ago:
                    file.unlink()

    def _file(self, options: InstanceOptions) -> Path:
        digest = hashlib.sha256(options.preset_ini.encode()).hexdigest()
        return self._folder / f"{digest[:32]}.ini"
