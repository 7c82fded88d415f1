"""Can the hub be reached? Asked first, since a library that is cut off takes long to say so."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from llamactl.core.errors import HubUnreachable

# By huggingface_hub's documentation of its environment variables. It is not imported: that takes
# as long as the hub's answer.
_ENDPOINT = "https://huggingface.co"
_YES = ("1", "on", "yes", "true")
_LIMIT_S = 3.0  # with what starting a process takes, its user waits for less than 5 s
WHAT_TO_DO = (
    "check the network, set HTTPS_PROXY if it needs a proxy or HF_ENDPOINT to a mirror, or copy "
    "GGUF files by hand to a folder in models.folders"
)
T = TypeVar("T")


def endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")


def host() -> str:
    return urlsplit(endpoint()).netloc.rpartition("@")[2] or endpoint()


def check_reachable() -> None:
    """Any answer will do. Raises HubUnreachable."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        raise HubUnreachable(
            f"cannot ask the hub at {host()}: HF_HUB_OFFLINE is set; unset it for the server, or "
            "use a model that is on this machine",
            details={"kind": "offline"},
        )
    within(_LIMIT_S, lambda: httpx2.head(endpoint(), timeout=_LIMIT_S))


def within(limit_s: float, ask: Callable[[], T]) -> T:
    """What `ask` returns. Raises what it raises, and HubUnreachable when it takes longer."""
    found: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(ask())
        except BaseException as exc:
            failed.append(exc)

    # in a thread, because looking up a name takes as long as it likes, and so may an answer
    asking = threading.Thread(target=work, daemon=True)
    asking.start()
    asking.join(limit_s)
    if found:
        return found[0]
    exc = failed[0] if failed else None
    if exc is None or isinstance(exc, httpx2.TimeoutException):
        raise unreachable("silent", f"it did not finish its answer within {limit_s:.1f} s")
    if isinstance(exc, httpx2.HTTPError | OSError | ValueError):
        raise unreachable(*_reason(exc)) from exc
    raise exc


def unreachable(kind: str, why: str, do: str = WHAT_TO_DO) -> HubUnreachable:
    """`kind`: for programs."""
    return HubUnreachable(f"cannot reach the hub at {host()}: {why}; {do}", details={"kind": kind})


def _reason(exc: BaseException) -> tuple[str, str]:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "dns", f"its name can't be resolved ({cause.strerror})"
        if isinstance(cause, ConnectionRefusedError):
            return "refused", "it refuses the connection"
        cause = cause.__cause__ or cause.__context__
    return "broken", str(exc).partition("\n")[0][:300] or type(exc).__name__
