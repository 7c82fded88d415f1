"""Can the hub be reached? Asked first, since a library that is cut off takes long to say so."""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import urlsplit

import httpx2

from llamactl.core.errors import HubUnreachable

# By huggingface_hub's documentation of its environment variables. It is not imported: that takes
# as long as the hub's answer.
_ENDPOINT = "https://huggingface.co"
_YES = ("1", "on", "yes", "true")
_LIMIT_S = 3.0  # with what starting a process takes, its user waits for less than 5 s


def check_reachable() -> None:
    """Any answer will do. Raises HubUnreachable."""
    endpoint = os.environ.get("HF_ENDPOINT") or _ENDPOINT
    host = urlsplit(endpoint).netloc.rpartition("@")[2] or endpoint
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        raise HubUnreachable(
            f"cannot ask the hub at {host}: HF_HUB_OFFLINE is set; unset it for the server, or use "
            "a model that is on this machine"
        )
    failures = [f"no answer within {_LIMIT_S:g} s"]

    def ask() -> None:
        try:
            httpx2.head(endpoint, timeout=_LIMIT_S)
        except httpx2.TimeoutException:
            return
        except (httpx2.HTTPError, OSError, ValueError) as exc:
            failures[0] = _reason(exc)
        else:
            failures.clear()

    # in a thread, because looking up a name takes as long as it likes
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_LIMIT_S)
    if found := [*failures]:
        raise HubUnreachable(
            f"cannot reach the hub at {host}: {found[0]}; check the network and its proxy, set "
            "HF_ENDPOINT to a mirror, or use a model that is on this machine"
        )


def _reason(exc: BaseException) -> str:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return f"its name can't be resolved ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return str(exc) or type(exc).__name__
