"""Single requests, of all processes that relay: what the request log is made of."""

from __future__ import annotations

from llamactl.core.ports.request_log import RequestsNow, RequestSource, together
from llamactl.proxy import ProxyServer


class RelayedRequests:
    def __init__(self, proxy: ProxyServer, others: RequestSource | None = None) -> None:
        """`proxy`: of this process, which also relays some. `others`: proxy processes."""
        self._proxy = proxy
        self._others = others

    def __repr__(self) -> str:
        return f"<RelayedRequests of {self._proxy} and {self._others}>"

    async def requests(self) -> RequestsNow:
        here = self._proxy.requests()
        return here if self._others is None else together([here, await self._others.requests()])

    async def cancel(self, request_id: str) -> int:
        count = self._proxy.cancel(request_id)
        return count if self._others is None else count + await self._others.cancel(request_id)
