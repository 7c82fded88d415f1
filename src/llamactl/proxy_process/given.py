"""What a proxy process is given when it begins."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import orjson

from llamactl.config import Settings


@dataclass(frozen=True, slots=True)
class Given:
    meeting: socket.socket  # where those who decide come to
    listener: socket.socket  # where clients do
    counts: int  # descriptor of `OpenCounts`
    settings: Settings
    slot: int  # of OpenCounts
    slots: int

    @classmethod
    def of(cls, data: bytes, fds: Sequence[int]) -> Given:
        meeting, listener, counts, settings = fds
        said = orjson.loads(data)
        text = os.pread(settings, os.fstat(settings).st_size, 0)  # others read it just now
        os.close(settings)
        read = Settings.model_validate_json(text)
        return cls(
            socket.socket(fileno=meeting), socket.socket(fileno=listener), counts, read,
            said["slot"], said["slots"],
        )  # fmt: skip


def described(slot: int, slots: int) -> bytes:
    """What goes with the descriptors."""
    return orjson.dumps({"slot": slot, "slots": slots})


def written(settings: Settings) -> int:
    """A descriptor of them, in memory."""
    fd = os.memfd_create("llamactl-settings")
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(settings.model_dump_json(by_alias=True).encode())
    return fd


def shared(settings: Settings, processes: int) -> Settings:
    """Those of one of several: limits for all clients together are divided."""
    server = settings.server
    each = {
        name: ceil(getattr(server, name) / processes)
        for name in (
            "max_connections", "max_connections_per_address", "max_client_memory", "spool_size",
        )
    }  # fmt: skip
    return settings.model_copy(update={"server": server.model_copy(update=each)})
