"""Named instances."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from llamactl.client._async.transport import AsyncTransport
from llamactl.client.calls import (
    API,
    Call,
    path,
)
from llamactl.schemas.events import EventBody
from llamactl.schemas.instances import InstanceBody, PlanBody, PreviewBody
from llamactl.schemas.session import PageBody


class AsyncInstances:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> Sequence[InstanceBody]:
        return await self._transport.read(list[InstanceBody], Call("GET", f"{API}/instances"))

    async def get(self, name: str) -> InstanceBody:
        return await self._read("GET", name)

    async def create(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        start: bool = True,
        wait: bool = True,
        evict: bool = False,
        allow_unknown: bool = False,
    ) -> InstanceBody:
        """`options`: flat engine options, or `backend_type` and `backend_options`.

        `allow_unknown`: pass on those that the engine's help does not list.
        """
        query = {"start": start, "wait": wait, "evict": evict}
        query |= {"allow_unknown": True} if allow_unknown else {}
        return await self._read("POST", name, query=query, body=options)

    async def update(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        wait: bool = True,
        allow_unknown: bool = False,
    ) -> InstanceBody:
        """Merge: a None removes; what runs is restarted if its command changes."""
        query = {"wait": wait, "allow_unknown": allow_unknown or None}
        return await self._read("PUT", name, query=query, body=options)

    async def delete(self, name: str, *, force: bool = False) -> None:
        await self._transport.send(Call("DELETE", self._path(name), {"force": force}))

    async def start(self, name: str, *, wait: bool = False, evict: bool = False) -> InstanceBody:
        return await self._read("POST", name, "start", query={"wait": wait, "evict": evict})

    async def stop(self, name: str, *, wait: bool = False, force: bool = False) -> InstanceBody:
        return await self._read("POST", name, "stop", query={"wait": wait, "force": force})

    async def restart(
        self, name: str, *, wait: bool = False, evict: bool = False, force: bool = False
    ) -> InstanceBody:
        query = {"wait": wait, "evict": evict, "force": force}
        return await self._read("POST", name, "restart", query=query)

    async def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: str | None = None,
        search: str | None = None,
    ) -> str:
        """The last lines, or all. `since`: Unix seconds or ISO 8601."""
        query = {"lines": lines, "since": since, "search": search}
        return (await self._transport.send(Call("GET", self._path(name, "logs"), query))).decode(
            "utf-8", "replace"
        )

    async def follow_logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: str | None = None,
        search: str | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[str, None]:
        """Yield lines of the log as they are written; without `follow`, only the existing ones."""
        query = {"lines": lines, "since": since, "search": search, "follow": follow}
        call = Call("GET", self._path(name, "logs"), query)
        async with aclosing(self._transport.lines(call)) as rows:
            async for line in rows:
                yield line

    async def events(
        self, name: str, *, limit: int = 100, before: int | None = None
    ) -> Sequence[EventBody]:
        """The newest, or the newest before that id; oldest first."""
        call = Call("GET", self._path(name, "events"), {"limit": limit, "before": before})
        return await self._transport.read(list[EventBody], call)

    async def all_events(self, name: str, *, page: int = 500) -> AsyncGenerator[EventBody, None]:
        """All that are kept, newest first, page by page."""
        before: int | None = None
        while rows := await self.events(name, limit=page, before=before):
            for row in reversed(rows):
                yield row
            before = rows[0].id

    async def plan(
        self,
        name: str,
        *,
        what: Literal["request", "start"] = "request",
        evict: bool = False,
    ) -> PlanBody:
        """What a request, or a start by hand, would do now, and why."""
        query = {"for": what, "evict": evict}
        call = Call("POST", self._path(name, "plan"), query, again=True)
        return await self._transport.read(PlanBody, call)

    async def preview(
        self, name: str, options: Mapping[str, Any], *, allow_unknown: bool = False
    ) -> PreviewBody:
        """What `create`, or `update` of one that exists, would give. Nothing is done."""
        query = {"allow_unknown": allow_unknown or None}
        call = Call("POST", self._path(name, "preview"), query, options, again=True)
        return await self._transport.read(PreviewBody, call)

    async def page(self, name: str) -> PageBody:
        """A temporary path of the engine's own page; anyone who knows it can use it."""
        return await self._transport.read(PageBody, Call("POST", self._path(name, "page")))

    async def _read(
        self,
        method: str,
        *parts: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> InstanceBody:
        again = len(parts) > 1  # start, stop and restart end in the same state twice
        call = Call(method, self._path(*parts), query or {}, body, again=again)
        return await self._transport.read(InstanceBody, call)

    def _path(self, *parts: str) -> str:
        return f"{API}/instances{path(*parts)}"
