"""Clients that ask all the time."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from support.served import Served


class Load:
    """Each on a connection that it keeps."""

    def __init__(self, server: Served, name: str, clients: int, **body: Any) -> None:
        self._server, self._body = server, {"model": name, **body}
        self._over = threading.Event()
        self.answers: list[int | str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with self._server.client() as client:
            while not self._over.wait(0.02):
                try:
                    answer = client.post("/v1/completions", json=self._body)
                    fine = answer.status_code == 200
                    self.answers.append(200 if fine else answer.text)
                except httpx.HTTPError as exc:
                    self.answers.append(repr(exc))

    def end(self) -> list[int | str]:
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self.answers
