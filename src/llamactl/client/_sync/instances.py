"""Named instances."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal

from llamactl.client._sync.transport import Transport
from llamactl.client.calls import (
    API,
    Call,
    path,
)
from llamactl.schemas.events import EventBody
from llamactl.schemas.instances import InstanceBody, PlanBody, PreviewBody
from llamactl.schemas.session import PageBody


class Instances:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[InstanceBody]:
        return self._transport.read(list[InstanceBody], Call("GET", f"{API}/instances"))

    def get(self, name: str) -> InstanceBody:
        return self._read("GET", name)

    def create(
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
        return self._read("POST", name, query=query, body=options)

    def update(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        wait: bool = True,
        allow_unknown: bool = False,
    ) -> InstanceBody:
        """Merge: a None removes; what runs is restarted if its command changes."""
        query = {"wait": wait, "allow_unknown": allow_unknown or None}
        return self._read("PUT", name, query=query, body=options)

    def delete(self, name: str, *, force: bool = False) -> None:
        self._transport.send(Call("DELETE", self._path(name), {"force": force}))

    def start(self, name: str, *, wait: bool = False, evict: bool = False) -> InstanceBody:
        return self._read("POST", name, "start", query={"wait": wait, "evict": evict})

    def stop(self, name: str, *, wait: bool = False, force: bool = False) -> InstanceBody:
        return self._read("POST", name, "stop", query={"wait": wait, "force": force})

    def restart(
        self, name: str, *, wait: bool = False, evict: bool = False, force: bool = False
    ) -> InstanceBody:
        query = {"wait": wait, "evict": evict, "force": force}
        return self._read("POST", name, "restart", query=query)

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: str | None = None,
        search: str | None = None,
    ) -> str:
        """The last lines, or all. `since`: Unix seconds or ISO 8601."""
        query = {"lines": lines, "since": since, "search": search}
        return (self._transport.send(Call("GET", self._path(name, "logs"), query))).decode(
            "utf-8", "replace"
        )

    def follow_logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: str | None = None,
        search: str | None = None,
        follow: bool = True,
    ) -> Generator[str, None, None]:
        """Yield lines of the log as they are written; without `follow`, only the existing ones."""
        query = {"lines": lines, "since": since, "search": search, "follow": follow}
        call = Call("GET", self._path(name, "logs"), query)
        with closing(self._transport.lines(call)) as rows:
            for line in rows:
                yield line

    def events(
        self, name: str, *, limit: int = 100, before: int | None = None
    ) -> Sequence[EventBody]:
        """The newest, or the newest before that id; oldest first."""
        call = Call("GET", self._path(name, "events"), {"limit": limit, "before": before})
        return self._transport.read(list[EventBody], call)

    def all_events(self, name: str, *, page: int = 500) -> Generator[EventBody, None, None]:
        """All that are kept, newest first, page by page."""
        before: int | None = None
        while rows := self.events(name, limit=page, before=before):
            for row in reversed(rows):
                yield row
            before = rows[0].id

    def plan(
        self,
        name: str,
        *,
        what: Literal["request", "start"] = "request",
        evict: bool = False,
    ) -> PlanBody:
        """What a request, or a start by hand, would do now, and why."""
        query = {"for": what, "evict": evict}
        call = Call("POST", self._path(name, "plan"), query, again=True)
        return self._transport.read(PlanBody, call)

    def preview(
        self, name: str, options: Mapping[str, Any], *, allow_unknown: bool = False
    ) -> PreviewBody:
        """What `create`, or `update` of one that exists, would give. Nothing is done."""
        query = {"allow_unknown": allow_unknown or None}
        call = Call("POST", self._path(name, "preview"), query, options, again=True)
        return self._transport.read(PreviewBody, call)

    def page(self, name: str) -> PageBody:
        """A temporary path of the engine's own page; anyone who knows it can use it."""
        return self._transport.read(PageBody, Call("POST", self._path(name, "page")))

    def _read(
        self,
        method: str,
        *parts: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> InstanceBody:
        again = len(parts) > 1  # start, stop and restart end in the same state twice
        call = Call(method, self._path(*parts), query or {}, body, again=again)
        return self._transport.read(InstanceBody, call)

    def _path(self, *parts: str) -> str:
        return f"{API}/instances{path(*parts)}"
