"""Ollama's paths."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from llamactl.config import Settings
from llamactl.core.errors import (
    InvalidRequest,
    LlamactlError,
    ModelNotFound,
    NameTaken,
)
from llamactl.doors.caller import client_for
from llamactl.doors.ollama.answering import Answer, Form, done
from llamactl.doors.ollama.asking import (
    ChatAsked,
    EmbedAsked,
    GenerateAsked,
    chat_body,
    generate_body,
    unloads,
)
from llamactl.doors.ollama.describing import described, running, shown
from llamactl.doors.ollama.embedding import embeddings
from llamactl.doors.ollama.sending import Rows, sent
from llamactl.wire.instances import InstanceBody
from llamactl.wire.models import JobBody

if TYPE_CHECKING:
    from llamactl.client import AsyncClient

SPOKEN = "0.12.6"  # the version of Ollama whose habits these are; clients ask for it
INFERENCE = frozenset(
    {"/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"}
)  # what needs no key where inference needs none
WITH_KEY = INFERENCE | {"/", "/api/version", "/api/tags", "/api/ps", "/api/pull", "/api/delete"}
T = TypeVar("T", bound=BaseModel)
_LONGEST_EVENT = 1 << 18  # characters; the worst of them are parsed in milliseconds


def ollama_router(settings: Settings) -> APIRouter:
    """Its own, with settings that hold the port that is served."""
    return Ollama(settings).router


class Ollama:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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
        asked = await _read(request, ChatAsked)
        if not asked.messages:
            return await self._load(request, asked.model, "chat", asked.keep_alive)
        body = chat_body(asked)
        ask = ("/v1/chat/completions", {"model": asked.model, "stream": True, **body})
        return await self._answer(request, ask, "chat", stream=asked.stream, last=asked.keep_alive)

    async def generate(self, request: Request) -> Response:
        asked = await _read(request, GenerateAsked)
        if not asked.prompt and not asked.suffix:
            return await self._load(request, asked.model, "generate", asked.keep_alive)
        ask = generate_body(asked)
        return await self._answer(
            request, ask, "generate", stream=asked.stream, last=asked.keep_alive
        )

    async def _answer(
        self, request: Request, ask: tuple[str, dict[str, Any]], form: Form,
        *, stream: bool, last: str | float | None,
    ) -> Response:  # fmt: skip
        client = client_for(request, self._settings)
        path, body = ask
        model = body["model"]
        answer = Answer(model, form)

        async def rows() -> Rows:
            async with client:
                body["model"] = await _resolved(client, model)
                async with aclosing(client.stream(path, body, longest=_LONGEST_EVENT)) as chunks:
                    async for row in answer.rows(chunks):
                        yield row
                if unloads(last):
                    await _unload(client, body["model"])

        return await sent(rows(), answer, stream=stream)

    async def _load(
        self, request: Request, model: str, form: Form, keep_alive: str | float | None
    ) -> Response:
        async with client_for(request, self._settings) as client:
            name = await _resolved(client, model)
            if unloads(keep_alive):
                await client.instances.stop(name, wait=True)
                return JSONResponse(done(model, form, "unload"))
            await _load(client, name)
        return JSONResponse(done(model, form, "load"))

    async def embed(self, request: Request) -> Response:
        asked = await _read(request, EmbedAsked)
        given = asked.input or []
        answer = Answer(asked.model, "generate")
        vectors, tokens = await self._embedded(
            request, asked, [given] if isinstance(given, str) else given
        )
        answer.usage = {"prompt_tokens": tokens}
        took = answer.last()
        return JSONResponse(
            {
                "model": asked.model,
                "embeddings": vectors,
                **{k: took[k] for k in ("total_duration", "load_duration", "prompt_eval_count")},
            }
        )

    async def embeddings(self, request: Request) -> Response:
        """The older one, of a single prompt."""
        asked = await _read(request, EmbedAsked)
        vectors, _ = await self._embedded(request, asked, [asked.prompt] if asked.prompt else [])
        return JSONResponse({"embedding": vectors[0] if vectors else []})

    async def _embedded(
        self, request: Request, asked: EmbedAsked, texts: list[str]
    ) -> tuple[list[list[float]], int]:
        """Nothing to embed asks that the model be loaded."""
        async with client_for(request, self._settings) as client:
            name = await _resolved(client, asked.model)
            if not texts:
                await _load(client, name)
                return [], 0
            return await embeddings(
                client, name, texts,
                truncate=asked.truncate is not False, dimensions=asked.dimensions,
            )  # fmt: skip

    async def pull(self, request: Request) -> Response:
        asked = await _read(request, _Pulled)
        client = client_for(request, self._settings)

        async def rows() -> Rows:
            async with client:
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
    """Whatever content type it comes with: Ollama's own clients send none."""
    try:
        return kind.model_validate_json(await request.body() or b"{}")
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{where}: {first['msg']}") from exc


async def _row_of(client: AsyncClient, model: str) -> dict[str, Any]:
    """Of the list of models; Ollama's clients add `:latest`. Raises ModelNotFound."""
    known: dict[str, dict[str, Any]] = {}
    for row in await client.served():
        known |= {name.lower(): row for name in (row["id"], *row.get("aliases", ()))}
    for wanted in (model, model.removesuffix(":latest")):
        if wanted.lower() in known:
            return known[wanted.lower()]
    raise ModelNotFound(f"model '{model[:140]}' not found")


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
