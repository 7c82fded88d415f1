"""Model files and downloads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from llamactl.client._async.transport import AsyncTransport
from llamactl.client.calls import API, Call, path
from llamactl.schemas.models import (
    FoundBody,
    InspectionBody,
    JobBody,
    ModelBody,
    RepositoryBody,
    StarterBody,
)


class AsyncModels:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> Sequence[ModelBody]:
        return await self._transport.read(list[ModelBody], Call("GET", f"{API}/models"))

    async def delete(self, model: str) -> None:
        """Its files. `model`: a name of the list."""
        await self._transport.send(Call("DELETE", f"{API}/models", {"model": model}))

    async def inspect(self, model: str, *, ctx_size: int | None = None) -> InspectionBody:
        """What a file says of itself, and the memory it needs for a context of that size."""
        call = Call("GET", f"{API}/models/inspect", {"model": model, "ctx_size": ctx_size})
        return await self._transport.read(InspectionBody, call)

    async def download(self, model: str) -> JobBody:
        """Begin, or join, a download: `org/repo`, `org/repo:quant` or `org/repo/file.gguf`."""
        call = Call("POST", f"{API}/models/download", body={"model": model}, again=True)
        return await self._transport.read(JobBody, call)

    async def jobs(self) -> Sequence[JobBody]:
        return await self._transport.read(list[JobBody], Call("GET", f"{API}/models/jobs"))

    async def job(self, job_id: str) -> JobBody:
        return await self._transport.read(JobBody, Call("GET", self._path(job_id)))

    async def pause(self, job_id: str) -> JobBody:
        """Keep what is there, and fetch no more until it is resumed."""
        call = Call("POST", self._path(job_id, "pause"), again=True)
        return await self._transport.read(JobBody, call)

    async def resume(self, job_id: str) -> JobBody:
        call = Call("POST", self._path(job_id, "resume"), again=True)
        return await self._transport.read(JobBody, call)

    async def search(self, words: str) -> Sequence[FoundBody]:
        """Repositories of the hub that have GGUF files."""
        call = Call("GET", f"{API}/models/search", {"q": words})
        return await self._transport.read(list[FoundBody], call)

    async def starters(self) -> Sequence[StarterBody]:
        """Good first models, those that suit the server's machine best first."""
        call = Call("GET", f"{API}/models/starters")
        return await self._transport.read(list[StarterBody], call)

    async def repository(self, repo: str) -> RepositoryBody:
        """The models of one of the hub's."""
        call = Call("GET", f"{API}/models/repository", {"repo": repo})
        return await self._transport.read(RepositoryBody, call)

    async def cancel(self, job_id: str) -> None:
        """Stop it and remove its parts; forget one that is over."""
        await self._transport.send(Call("DELETE", self._path(job_id)))

    async def follow(self, job_id: str) -> AsyncGenerator[JobBody, None]:
        """Its progress, to its end."""
        call = Call("GET", self._path(job_id, "events"))
        async with aclosing(self._transport.events(call)) as events:
            async for event in events:
                yield JobBody.model_validate(event)

    def _path(self, *parts: str) -> str:
        return f"{API}/models/jobs{path(*parts)}"
