"""Asks a running engine about itself, in the way of its backend; blocks no loop."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from llamactl.backends import backend_of
from llamactl.core.model import ModelInfo
from llamactl.core.routes import ReadyInstance
from llamactl.node.process.ports import LOOPBACK

_TIME_S = 2.0
_MOST = 1 << 20  # bytes of an answer


async def scrape(ready: ReadyInstance) -> Mapping[str, str]:
    """The engine's numbers in Prometheus's form, by model, "" for its only one."""
    return await asyncio.to_thread(backend_of(ready.backend).metrics, partial(_get, ready))


async def served_models(ready: ReadyInstance) -> Mapping[str, ModelInfo]:
    """What the engine says of its models, by its own names; nothing if it doesn't tell."""
    return await asyncio.to_thread(backend_of(ready.backend).served_models, partial(_get, ready))


async def busy_slots(ready: ReadyInstance, tls: ssl.SSLContext | None = None) -> int | None:
    """How many requests the engine works on; None if it doesn't tell.

    `tls`: to reach one on another machine.
    """
    get = partial(_get, ready, tls=None if ready.host == LOOPBACK else tls)
    return await asyncio.to_thread(backend_of(ready.backend).busy_slots, get)


def _get(ready: ReadyInstance, path: str, *, tls: ssl.SSLContext | None = None) -> str:
    return text_at((ready.host, ready.port), ready.key, path, seconds=_TIME_S, tls=tls)


def text_at(
    address: tuple[str, int], key: str, path: str, *,
    seconds: float, tls: ssl.SSLContext | None = None,
) -> str:  # fmt: skip
    """ "" for nothing in time, or an error."""
    try:
        status, text = Call(address, seconds, tls).ask(key, "GET", path)
    except OSError:
        return ""
    return text if status == http.HTTPStatus.OK else ""


def ask(
    address: tuple[str, int], key: str, method: str, path: str,
    body: bytes | None = None, *, seconds: float,
) -> tuple[int, str]:  # fmt: skip
    """Status and text. Raises OSError if there is no answer in time."""
    return Call(address, seconds).ask(key, method, path, body)


class Call:
    """One question, which another thread can take back."""

    def __init__(
        self, address: tuple[str, int], seconds: float, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: None for an engine of this machine."""
        if tls is None:
            self._connection = http.client.HTTPConnection(*address, timeout=seconds)
        else:
            host, port = address
            self._connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=tls)
        self._socket: socket.socket | None = None
        self._is_over = False

    def ask(self, key: str, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        """As `ask`."""
        head = {"Authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            head["Content-Type"] = "application/json"
        connection = self._connection
        try:
            connection.connect()
            self._socket = connection.sock
            if self._is_over:
                raise ConnectionAbortedError("it was called off")
            connection.request(method, path, body, head)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST).decode("utf-8", "replace")
        except http.client.HTTPException as exc:
            raise OSError(f"it does not speak HTTP: {type(exc).__name__}") from exc
        finally:
            connection.close()

    def hang_up(self) -> None:
        """It gets no answer any longer, and an engine that notices stops working on it."""
        self._is_over = True
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)
