"""Ollama's paths."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from llamactl.compat.caller import client_for
from llamactl.compat.ollama.answering import Answer, Form, done
from llamactl.compat.ollama.describing import described, running, shown
from llamactl.compat.ollama.embedding import Vectors, embeddings
from llamactl.compat.ollama.sending import Rows, sent, vectors_sent
from llamactl.compat.ollama.translation import Translation, parsed
from llamactl.compat.ollama.translator import SMALL, Translator
from llamactl.config import Settings
from llamactl.core.errors import (
    BodyTooLarge,
    LlamactlError,
    NameTaken,
    UnknownModel,
)
from llamactl.schemas.instances import InstanceBody
from llamactl.schemas.models import JobBody

if TYPE_CHECKING:
    from llamactl.client import AsyncClient

SPOKEN = "0.12.6"  # the version of Ollama whose habits these are; clients ask for it
T = TypeVar("T", bound=BaseModel)
_LONGEST_EVENT = 1 << 18  # bytes; the worst of them are parsed in milliseconds


def ollama_router(settings: Settings) -> APIRouter:
    """Its own, with settings that hold the port that is served."""
    return Ollama(settings).router


class Ollama:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._translator = Translator()
        self.router = APIRouter(include_in_schema=False)
        for method, path, work in (
            ("GET", "/api/version", self.version), ("GET", "/api/tags", self.tags),
            ("GET", "/api/ps", self.running), ("POST", "/api/show", self.show),
            ("POST", "/api/chat", self.chat), ("POST", "/api/generate", self.generate),
            ("POST", "/api/embed", self.embed), ("POST", "/api/embeddings", self.embeddings),
            ("POST", "/api/pull", self.pull), ("DELETE", "/api/delete", self.delete),
        ):  # fmt: skip
            methods = ["GET", "HEAD"] if method == "GET" else [method]
            self.router.add_api_route(path, work, methods=methods, response_model=None)

    async def version(self) -> Response:
        return JSONResponse({"version": SPOKEN})

    async def tags(self, request: Request) -> Response:
        async with client_for(request, self._settings) as client:
            return JSONResponse({"models": [described(row) for row in await client.served()]})

    async def running(self, request: Request) -> Response:
        async with client_for(request, self._settings) as client:
            rows = [row for row in await client.served() if row.get("state") == "running"]
            managed = await _managed(client)
        return JSONResponse({"models": [running(row, managed.get(row["id"])) for row in rows]})

    async def show(self, request: Request) -> Response:
        asked = await _read(request, _Named)
        async with client_for(request, self._settings) as client:
            return JSONResponse(await shown(client, await _row_of(client, asked.name_given)))

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, "chat")

    async def generate(self, request: Request) -> Response:
        return await self._answer(request, "generate")

    async def _answer(self, request: Request, form: Form) -> Response:
        ask = await self._translator.translated(form, request.stream())
        if not ask.parts:
            return await self._load(request, ask, form)
        answer = Answer(ask.model, form)

        async def rows() -> Rows:
            async with client_for(request, self._settings) as client:
                name = await _resolved(client, ask.model)
                sent_on = client.stream(ask.path, ask.body(name), longest=_LONGEST_EVENT)
                async with aclosing(sent_on) as chunks:
                    async for row in answer.rows(chunks):
                        yield row
                if ask.unloads:
                    await _unload(client, name)

        return await sent(rows(), answer, stream=ask.stream)

    async def _load(self, request: Request, ask: Translation, form: Form) -> Response:
        async with client_for(request, self._settings) as client:
            name = await _resolved(client, ask.model)
            if ask.unloads:
                await client.instances.stop(name, wait=True)
                return JSONResponse(done(ask.model, form, "unload"))
            await _load(client, name)
        return JSONResponse(done(ask.model, form, "load"))

    async def embed(self, request: Request) -> Response:
        ask = await self._translator.translated("embed", request.stream())
        answer = Answer(ask.model, "generate")
        batches = self._embedded(request, ask)
        return await vectors_sent(batches, answer, in_one=not ask.parts[1:])

    async def embeddings(self, request: Request) -> Response:
        """The older one, of a single prompt."""
        ask = await self._translator.translated("embeddings", request.stream())
        found = [vector async for batch, _ in self._embedded(request, ask) for vector in batch]
        return JSONResponse({"embedding": found[0] if found else []})

    async def _embedded(self, request: Request, ask: Translation) -> Vectors:
        """Nothing to embed asks that the model be loaded."""
        async with client_for(request, self._settings) as client:
            name = await _resolved(client, ask.model)
            if not ask.parts:
                await _load(client, name)
                return
            async for batch in embeddings(
                client, name, ask.parts, truncate=ask.truncate, dimensions=ask.dimensions
            ):
                yield batch

    async def pull(self, request: Request) -> Response:
        asked = await _read(request, _Pulled)

        async def rows() -> Rows:
            async with client_for(request, self._settings) as client:
                yield {"status": "pulling manifest"}
                job = await client.models.download(asked.name_given)
                async with aclosing(client.models.follow(job.id)) as states:
                    async for job in states:
                        if job.state == "running" and job.total:
                            yield {"status": f"pulling {job.name}", "digest": job.name,
                                   "total": job.total, "completed": job.done}  # fmt: skip
                if job.state != "done":
                    raise LlamactlError(job.error or f"the download is {job.state}")
                await _defined(client, asked.name_given, job)
                yield {"status": "success"}

        return await sent(rows(), None, stream=asked.stream)

    async def delete(self, request: Request) -> Response:
        asked = await _read(request, _Named)
        async with client_for(request, self._settings) as client:
            await client.instances.delete(await _resolved(client, asked.name_given))
        return Response(status_code=200)


class _Named(BaseModel):
    model: str = ""
    name: str = ""  # as it was called before

    @property
    def name_given(self) -> str:
        return self.model or self.name


class _Pulled(_Named):
    stream: bool = True


async def _read(request: Request, kind: type[T]) -> T:
    """Of what is never large."""
    body = await request.body()
    if len(body) > SMALL:
        raise BodyTooLarge(f"the request body is larger than {SMALL} bytes")
    return parsed(kind, body)


async def _row_of(client: AsyncClient, model: str) -> dict[str, Any]:
    """Of the list of models; Ollama's clients add `:latest`. Raises UnknownModel."""
    known: dict[str, dict[str, Any]] = {}
    for row in await client.served():
        known |= {name.lower(): row for name in (row["id"], *row.get("aliases", ()))}
    for wanted in (model, model.removesuffix(":latest")):
        if wanted.lower() in known:
            return known[wanted.lower()]
    raise UnknownModel(f"model '{model[:140]}' not found")


async def _resolved(client: AsyncClient, model: str) -> str:
    """Its name here."""
    name: str = (await _row_of(client, model))["id"]
    return name


async def _load(client: AsyncClient, name: str) -> None:
    await client.post("/tokenize", {"model": name, "content": ""})  # which needs it loaded


async def _managed(client: AsyncClient) -> dict[str, InstanceBody]:
    """Instances by name; none for those who may not manage them."""
    with suppress(LlamactlError):
        return {row.name: row for row in await client.instances.list()}
    return {}


async def _defined(client: AsyncClient, asked: str, job: JobBody) -> None:
    """An instance of what was pulled, so that it can be used by the name it was pulled by."""
    name = job.name.partition("/")[2].replace(":", "-")
    body: dict[str, Any] = {"backend_options": {"model": job.path}, "aliases": [asked]}
    for model in await client.models.list():
        if model.path == job.path and model.mmproj:
            body["backend_options"]["mmproj"] = model.mmproj
    with suppress(NameTaken):  # it is there since it was pulled before
        await client.instances.create(name, body, start=False)


async def _unload(client: AsyncClient, name: str) -> None:
    """Where the caller may: an inference key must not stop what others use."""
    with suppress(LlamactlError):
        await client.instances.stop(name)
