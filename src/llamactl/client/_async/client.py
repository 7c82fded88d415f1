"""The client itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from llamactl.client._async.backends import AsyncBackends
from llamactl.client._async.config import AsyncConfig
from llamactl.client._async.contexts import AsyncContexts
from llamactl.client._async.instances import AsyncInstances
from llamactl.client._async.keys import AsyncKeys
from llamactl.client._async.models import AsyncModels
from llamactl.client._async.requests import AsyncRequests
from llamactl.client._async.transport import AsyncTransport
from llamactl.client.calls import (
    API,
    Call,
    base_url,
    headers_of,
    path,
)
from llamactl.client.errors import ServerUnreachable, error_in
from llamactl.core.ports.history import Window
from llamactl.schemas.events import EventBody
from llamactl.schemas.history import HistoryBody
from llamactl.schemas.live import LiveBody
from llamactl.schemas.nodes import NodeBody
from llamactl.schemas.session import SessionBody, SignInLinkBody
from llamactl.schemas.system import FindingBody, HealthBody, SystemBody, UpgradeBody


class AsyncClient:
    """All that a llamactl server can do. Use it as a context manager, or `close` it."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 600.0,
        retries: int = 3,
        longest_wait: float = 10.0,
    ) -> None:
        """`url`, `api_key`: else LLAMACTL_URL and LLAMACTL_API_KEY, or this machine's port 8080.
        An empty key is none.

        `timeout`: seconds without a byte of an answer. `retries`: where the server asks for it by
        Retry-After, or was not reached; each waits `longest_wait` seconds at most.
        """
        self.url = base_url(url)
        self._transport = AsyncTransport(
            self.url, headers_of(api_key), timeout, retries, longest_wait
        )
        self.instances = AsyncInstances(self._transport)
        self.models = AsyncModels(self._transport)
        self.backends = AsyncBackends(self._transport)
        self.keys = AsyncKeys(self._transport)
        self.contexts = AsyncContexts(self._transport)
        self.requests = AsyncRequests(self._transport)
        self.config = AsyncConfig(self._transport)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def health(self) -> HealthBody:
        return await self._transport.read(HealthBody, Call("GET", "/health"))

    async def version(self) -> str:
        return await self._text(f"{API}/version")

    async def engine_help(self) -> str:
        """The engine's own `--help`."""
        return await self._text(f"{API}/server/help")

    async def engine_version(self) -> str:
        return await self._text(f"{API}/server/version")

    async def engine_devices(self) -> str:
        return await self._text(f"{API}/server/devices")

    async def metrics(self) -> str:
        """In Prometheus' text format."""
        return await self._text("/metrics")

    async def system(self) -> SystemBody:
        """Versions, where the server is, how it is."""
        return await self._transport.read(SystemBody, Call("GET", f"{API}/system"))

    async def nodes(self) -> Sequence[NodeBody]:
        """The machines that run instances: the server's own, then those that joined it."""
        return await self._transport.read(list[NodeBody], Call("GET", f"{API}/nodes"))

    async def remove_node(self, name: str) -> None:
        """Give up a machine that is away."""
        await self._transport.send(Call("DELETE", f"{API}/nodes{path(name)}"))

    async def drain_node(self, name: str, *, wait: bool = False) -> None:
        """Have nothing start there, and what runs there move or stop. `wait`: until it has."""
        await self._transport.send(Call("POST", f"{API}/nodes{path(name)}/drain", {"wait": wait}))

    async def resume_node(self, name: str) -> None:
        """Put a drained machine back into service."""
        await self._transport.send(Call("POST", f"{API}/nodes{path(name)}/resume"))

    async def disable_device(self, node: str, device: str) -> None:
        """Have no start use this GPU; what runs on it stays."""
        at = f"{API}/nodes{path(node)}/devices{path(device)}"
        await self._transport.send(Call("POST", f"{at}/disable"))

    async def enable_device(self, node: str, device: str) -> None:
        """Put a GPU back into service."""
        at = f"{API}/nodes{path(node)}/devices{path(device)}"
        await self._transport.send(Call("POST", f"{at}/enable"))

    async def doctor(self) -> Sequence[FindingBody]:
        """What there is to say of the installation."""
        return await self._transport.read(list[FindingBody], Call("GET", f"{API}/doctor"))

    async def session(self) -> SessionBody:
        """Whose key this is."""
        return await self._transport.read(SessionBody, Call("GET", f"{API}/session"))

    async def sign_in_link(self) -> SignInLinkBody:
        """A path of llamactl's page that signs a browser on this machine in, once."""
        return await self._transport.read(SignInLinkBody, Call("POST", f"{API}/session/link"))

    async def activity(self, *, limit: int = 100, before: int | None = None) -> Sequence[EventBody]:
        """The newest events of all instances, or the newest before that id; oldest first."""
        call = Call("GET", f"{API}/activity", {"limit": limit, "before": before})
        return await self._transport.read(list[EventBody], call)

    async def history(self, window: Window = "1h", instance: str | None = None) -> HistoryBody:
        """What one instance or all served until now, in equal steps; oldest first."""
        call = Call("GET", f"{API}/history", {"window": window, "instance": instance})
        return await self._transport.read(HistoryBody, call)

    async def live(self) -> AsyncGenerator[LiveBody, None]:
        """All there is, then what changes: instances, numbers, events, downloads."""
        call = Call("GET", f"{API}/live")
        async with aclosing(self._transport.events(call)) as events:
            async for event in events:
                yield LiveBody.model_validate(event)

    async def upgrade(self) -> UpgradeBody:
        """Have a process of the installed version take over. No request fails."""
        return await self._transport.read(UpgradeBody, Call("POST", f"{API}/upgrade"))

    async def events(self, *, after: int | None = None) -> AsyncGenerator[EventBody, None]:
        """What happens to all instances, for ever; what was missed while the server was away too.

        `after`: the id of an event: what is kept since then comes first.
        """
        while True:
            call = Call("GET", f"{API}/events", after=after)
            try:
                async with aclosing(self._transport.events(call)) as events:
                    async for said in events:
                        event = EventBody.model_validate(said)
                        after = event.id
                        yield event
            except ServerUnreachable:
                if after is None:  # nothing to resume from
                    raise
            await asyncio.sleep(1.0)

    async def served(self) -> Sequence[dict[str, Any]]:
        """What `model` may be in a request with this key, in OpenAI's form."""
        said = await self._transport.read(dict[str, Any], Call("GET", "/v1/models"))
        rows: Sequence[dict[str, Any]] = said["data"]
        return rows

    async def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], **params: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Chunks of a chat completion, in OpenAI's form, as they come."""
        body = {"model": model, "messages": [*messages], "stream": True, **params}
        async with aclosing(self.stream("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stream(
        self, where: str, body: Mapping[str, Any] | Sequence[bytes], *, longest: int | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What any path of an engine sends as events, such as `/v1/completions` with `stream`.

        A body may be JSON already, in pieces. Raises LlamactlError for an error in their midst,
        and for an event of more than `longest` bytes.
        """
        given = {"body": body} if isinstance(body, Mapping) else {"pieces": body}
        call = Call("POST", where, **given)
        async with aclosing(self._transport.events(call, longest)) as chunks:
            async for chunk in chunks:
                if chunk.get("error"):
                    raise error_in(chunk)
                yield chunk

    async def post(self, where: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Any path of an engine that answers JSON, such as `/v1/embeddings`."""
        call = Call("POST", where, body=body)
        return await self._transport.read(dict[str, Any], call)

    async def _text(self, where: str) -> str:
        return (await self._transport.send(Call("GET", where))).decode("utf-8", "replace")
