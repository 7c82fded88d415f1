"""A client of this same server that uses the caller's key."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Request

from llamactl.config import Settings
from llamactl.policy.access.rules import token_of

if TYPE_CHECKING:
    from llamactl.client import AsyncClient

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}
_CLIENT = "llamactl.client"


@asynccontextmanager
async def client_for(request: Request, settings: Settings) -> AsyncGenerator[AsyncClient, None]:
    if _CLIENT not in sys.modules:  # it is slow to import, and many servers never need it
        await asyncio.to_thread(importlib.import_module, _CLIENT)
    from llamactl.client import AsyncClient

    host = _ANYWHERE.get(settings.server.host, settings.server.host)
    key = token_of(dict(request.scope["headers"])).strip().decode("latin-1")
    async with AsyncClient(f"http://{host}:{settings.server.port}", key, retries=0) as client:
        yield client
