"""A client of this very server, that asks with the key of whoever asks us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from llamactl.config import Settings
from llamactl.policy.access import token_of

if TYPE_CHECKING:  # it is slow to import, and many servers never need it
    from llamactl.client import AsyncClient

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}


def client_for(request: Request, settings: Settings) -> AsyncClient:
    from llamactl.client import AsyncClient

    host = _ANYWHERE.get(settings.server.host, settings.server.host)
    key = token_of(dict(request.scope["headers"])).strip().decode("latin-1")
    return AsyncClient(f"http://{host}:{settings.server.port}", key, retries=0)
