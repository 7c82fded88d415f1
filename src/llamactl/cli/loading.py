"""Signs of life for those who wait for a load or a download."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import typer

from llamactl.cli.session import size, span
from llamactl.core.downloads import UNFINISHED, JobKind
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from types import TracebackType

    from llamactl.cli.session import Session
    from llamactl.schemas.instances import InstanceBody
    from llamactl.schemas.models import JobBody

_QUIET_S = 0.7  # what is quicker needs no word
_LOOK_S = 1.0
_LINE_S = 15.0  # between two lines where they can't be overwritten
_ENDS = ("running", "failed")


class Progress:
    """A line on the error output. A terminal shows only the last one, anything else a few."""

    def __init__(self, first_line_s: float = 0.0) -> None:
        """`first_line_s`: until then, nothing is written but to a terminal."""
        self._began = time.monotonic()
        self._next_line = first_line_s
        self._wrote = False

    @property
    def waited(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        if sys.stderr.isatty():
            self._wrote = True
            room = shutil.get_terminal_size().columns - 1  # a line that wraps can't be wiped
            typer.echo(f"\r\x1b[K{text[:room]}", nl=False, err=True)
        elif self.waited >= self._next_line:
            self._next_line = self.waited + _LINE_S
            typer.echo(text, err=True)

    def end(self, *, keep: bool = False) -> None:
        """On a terminal, the line is wiped, or kept as it is."""
        if self._wrote:
            typer.echo("\n" if keep else "\r\x1b[K", nl=False, err=True)
        self._wrote = False


class Loading:
    """Say how far an instance is, until `end`. Used as a context manager.

    `until_ready`: nothing is said once it is ready, or has failed.
    """

    def __init__(self, s: Session, name: str, *, until_ready: bool = True) -> None:
        self._s = s
        self._name = name
        self._until_ready = until_ready
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._progress = Progress()
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
            self._over.set()
            self._progress.end()

    def _watch(self) -> None:
        pause = _QUIET_S
        while not self._over.wait(pause):
            pause = _LOOK_S
            try:
                row = self._s.client.instances.get(self._name)
                text = self._text(row)
            except LlamactlError:  # the request for the model gets the error
                if self._until_ready:
                    break
                continue  # it may not exist yet
            if row.status in _ENDS and self._until_ready:
                break
            if row.status in _ENDS:  # its change has not begun yet
                continue
            with self._writing:
                if not self._over.is_set():
                    self._progress.say(f"{text} ({span(self._progress.waited)})")
        self.end()

    def _text(self, row: InstanceBody) -> str:
        if row.drain:
            return f"finishing the requests of {self._name}: {row.drain.leases} left"
        if row.status == "stopping":
            return f"stopping {self._name}"
        if row.status not in ("starting", "restarting"):
            return f"waiting for {self._name}"
        if row.image and (job := self._pull(row.image)):
            return f"pulling {row.image} for {self._name}: {downloaded(job)}"
        return f"loading {self._name}"

    def _pull(self, image: str) -> JobBody | None:
        """Its download, if it is under way."""
        jobs = (job for job in self._s.client.models.jobs() if job.kind == JobKind.IMAGE)
        return next((job for job in jobs if job.model == image and job.state in UNFINISHED), None)


def downloaded(job: JobBody) -> str:
    """How far a download is."""
    if not job.total:
        return "starting"
    left = f", {span(job.left_s)} left" if job.left_s is not None else ""
    part = f"{size(job.done)} of {size(job.total)} ({job.done / job.total:.0%})"
    return f"{part}, {size(job.rate)}/s{left}"
