"""Servers that tests share, one after another: a start costs more than many a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.served import Served, data_folder, serve


class Servers:
    """Of a module: one for each text of settings.

    `with servers(settings) as server:` has no instances at its start, and none after it. Keys,
    events and logs stay. Where the test fails, nobody else gets that server.
    """

    def __init__(self, stack: ExitStack, folders: pytest.TempPathFactory) -> None:
        self._stack = stack
        self._folders = folders
        self._free: dict[str, Served] = {}

    @contextmanager
    def __call__(self, settings: str = "") -> Iterator[Served]:
        server = self._free.pop(settings, None) or self._start(settings)
        yield server
        server.clear()
        self._free[settings] = server

    def _start(self, settings: str) -> Served:
        folder = data_folder(self._folders.mktemp("shared"), settings)
        return self._stack.enter_context(serve(folder))
