"""Signs of life while a model is loaded, for those who wait for it."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import typer

from llamactl.cli.session import span
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from types import TracebackType

    from llamactl.cli.session import Session
    from llamactl.schemas.instances import InstanceBody

_QUIET_S = 0.7  # what is quicker needs no word
_LOOK_S = 1.0
_LINE_S = 15.0  # between two lines where they can't be overwritten
_ENDS = ("running", "failed")


class Loading:
    """Say on the error output how far an instance is, until `end`. Used as a context manager."""

    def __init__(self, s: Session, name: str) -> None:
        self._s = s
        self._name = name
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._wrote = False
        self._began = time.monotonic()
        self._next_line = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Loading:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Nothing is written any longer; what was is wiped off a terminal."""
        with self._writing:  # what the server is asked now is not waited for
            if not self._over.is_set() and self._wrote and sys.stderr.isatty():
                typer.echo("\r\x1b[K", nl=False, err=True)
            self._over.set()

    def _watch(self) -> None:
        pause = _QUIET_S
        while not self._over.wait(pause):
            try:
                row = self._s.client.instances.get(self._name)
            except LlamactlError:  # the request for the model gets the error
                break
            if row.status in _ENDS:
                break
            pause = _LOOK_S
            with self._writing:
                if not self._over.is_set():
                    self._wrote = True
                    self._say(row)
        self.end()

    def _say(self, row: InstanceBody) -> None:
        waited = time.monotonic() - self._began
        what = "loading" if row.status in ("starting", "restarting") else "waiting for"
        text = f"{what} {self._name} ({span(waited)})"
        if sys.stderr.isatty():
            typer.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif waited >= self._next_line:
            self._next_line = waited + _LINE_S
            typer.echo(text, err=True)
