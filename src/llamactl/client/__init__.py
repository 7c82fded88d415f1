"""The Python client: `Client`, and `AsyncClient` with the same methods to be awaited.

Errors are raised as the server names them: `llamactl.core.errors` by `code`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.client._async.client import AsyncClient
    from llamactl.client._sync.client import Client
    from llamactl.client.errors import InvalidAnswer, ServerUnreachable

__all__ = ["AsyncClient", "Client", "InvalidAnswer", "LlamactlError", "ServerUnreachable"]
_WHERE = {
    "AsyncClient": "_async.client",
    "Client": "_sync.client",
    "InvalidAnswer": "errors",
    "ServerUnreachable": "errors",
}


def __getattr__(name: str) -> object:
    """Each is imported when it is first asked for: a command needs one of them at most."""
    if name not in _WHERE:
        raise AttributeError(name)
    return getattr(import_module(f"llamactl.client.{_WHERE[name]}"), name)
