"""Begins proxy processes, each with its socket at the meeting place."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping

from llamactl.config import Settings
from llamactl.proxy_process.given import described, written
from llamactl.proxy_process.meeting_place import MeetingPlace
from llamactl.proxy_process.open_counts import OpenCounts
from llamactl.proxy_process.template import Template


class Spawner:
    def __init__(self, environ: Mapping[str, str], place: MeetingPlace) -> None:
        self.place = place
        self._template = Template(environ)
        self._given: tuple[int, ...] = ()  # descriptors that each process gets

    def __repr__(self) -> str:
        return f"<Spawner by {self._template} at {self.place}>"

    def prepare(self, settings: Settings, listener: socket.socket, slots: int) -> OpenCounts:
        """For so many processes that accept clients there. Raises OSError."""
        self._slots = slots
        counts = OpenCounts.create(slots)
        self._given = (listener.fileno(), counts, written(settings))
        return OpenCounts(counts, slots)

    def spawn(self, slot: int) -> tuple[str, socket.socket]:
        """Its name at the meeting place, and a connection to it. Raises OSError."""
        name = secrets.token_hex(8)
        with self.place.open(name) as meeting:
            self._template.copy(described(slot, self._slots), [meeting.fileno(), *self._given])
            return name, self.place.connect(name)

    def close(self) -> None:
        """No more of them; those that run live on."""
        self._template.close()
