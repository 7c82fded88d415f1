"""/api/v1/models: the files of this machine, what they say, and downloads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from llamactl.api.bodies import fit_fields
from llamactl.api.errors import answers
from llamactl.api.event_stream import event_stream
from llamactl.api.hub_bodies import repository_body, starter_body
from llamactl.api.parameters import JobId
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.core.downloads import DownloadJob
from llamactl.core.errors import Conflict, InvalidRequest, LlamactlError, UnknownModel
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import part_names
from llamactl.models import Inspection, LocalModel, UnreadableModel, inspect
from llamactl.models.hub.starters import starters, suited
from llamactl.schemas.models import (
    DownloadRequest,
    FitBody,
    FoundBody,
    InspectionBody,
    JobBody,
    ModelBody,
    RepositoryBody,
    StarterBody,
)

router = APIRouter(prefix="/api/v1/models", dependencies=GUARDS, tags=["models"])
_MODELS = ("model", "model_draft", "spec_draft_model")  # options that name a model's file
Name = Annotated[
    str, Query(description="name of a listed model, or path of a file", max_length=4096)
]


@router.get("", responses=answers())
async def list_models(services: ServicesDep) -> list[ModelBody]:
    """List the models on this machine, those that instances use among them."""

    def read() -> list[ModelBody]:
        users = _users(services)
        models = services.catalog.all()
        listed = {model.path.resolve() for model in models}
        elsewhere = (services.catalog.at(path) for path in sorted(users.keys() - listed))
        models += [model for model in elsewhere if model is not None]
        return [_body(model, users) for model in models]

    return await run_in_threadpool(read)


@router.delete("", status_code=204, responses=answers(404, 409))
async def delete_model(model: Name, services: ServicesDep) -> Response:
    """Delete a model's files. No instance may use it."""

    def unused() -> LocalModel:
        users = _users(services)
        if not (names := users.get(Path(model))):  # it may be in no folder of ours
            found = services.catalog.find(model)
            if not (names := users.get(found.path.resolve())):
                return found
        raise Conflict(f"{model} is used by {', '.join(names)}; delete those instances first")

    found = await run_in_threadpool(unused)
    try:
        await run_in_threadpool(services.catalog.remove, found)
    except OSError as exc:
        raise LlamactlError(f"cannot delete {found.name}: {exc}") from exc
    return Response(status_code=204)


@router.get("/inspect", responses=answers(404))
async def inspect_model(
    model: Name,
    services: ServicesDep,
    ctx_size: Annotated[
        int | None, Query(ge=1, le=1 << 30, description="context size for the memory estimate")
    ] = None,
) -> InspectionBody:
    """Get the metadata of a GGUF file, and the memory it needs."""
    path, projector = await run_in_threadpool(_file, model, services)
    try:
        seen = await run_in_threadpool(inspect, path)
    except UnreadableModel as exc:
        raise InvalidRequest(str(exc)) from exc
    context = ctx_size or seen.shape.context or 4096
    return _inspection(seen, projector, await _fit(services, seen, projector, context))


@router.post("/download", status_code=202, responses=answers(415))
async def download_model(asked: DownloadRequest, services: ServicesDep) -> JobBody:
    """Download a model from the hub, in the given or a common quantisation."""
    await _check_cache(services)
    return job_body(await services.downloads.start(asked.model))


@router.get("/jobs", responses=answers())
async def list_jobs(services: ServicesDep) -> list[JobBody]:
    """List downloads, including finished ones."""
    return [job_body(job) for job in services.downloads.jobs.all()]


@router.get("/jobs/{job_id}", responses=answers(404))
async def get_job(job_id: JobId, services: ServicesDep) -> JobBody:
    """Get a download in its current state."""
    return job_body(services.downloads.jobs.get(job_id))


@router.delete("/jobs/{job_id}", status_code=204, responses=answers(404))
async def cancel_job(job_id: JobId, services: ServicesDep) -> Response:
    """Cancel a download and delete its parts, or remove a finished one from the list."""
    await services.downloads.cancel(job_id)
    return Response(status_code=204)


@router.post("/jobs/{job_id}/pause", responses=answers(404, 409, 415))
async def pause_job(job_id: JobId, services: ServicesDep) -> JobBody:
    """Pause a download, keeping the data received."""
    return job_body(await services.downloads.pause(job_id))


@router.post("/jobs/{job_id}/resume", responses=answers(404, 409, 415))
async def resume_job(job_id: JobId, services: ServicesDep) -> JobBody:
    """Resume a paused or failed download."""
    await _check_cache(services)
    return job_body(await services.downloads.resume(job_id))


@router.get("/starters", responses=answers())
async def list_starters(services: ServicesDep) -> list[StarterBody]:
    """List good first models, those that suit this machine best first. Does not ask the hub."""
    return [starter_body(one) for one in suited(starters(), services.hub.room())]


@router.get("/search", responses=answers(502))
async def search_hub(
    query: Annotated[
        str, Query(alias="q", min_length=1, max_length=200, description="search words")
    ],
    services: ServicesDep,
) -> list[FoundBody]:
    """Search repositories with GGUF files on the hub, most downloaded first."""
    return [FoundBody.model_validate(row) for row in await services.hub.search(query)]


@router.get("/repository", responses=answers(502))
async def look_into_repository(
    repo: Annotated[str, Query(max_length=500, description="org/repo")], services: ServicesDep
) -> RepositoryBody:
    """List the models in a repository on the hub, and whether each can run here."""
    return repository_body(await services.hub.repository(repo), services.hub.room())


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **answers(404)},
)
async def follow_job(job_id: JobId, services: ServicesDep) -> StreamingResponse:
    """Stream the progress of a download as server-sent events until it ends."""
    services.downloads.jobs.get(job_id)
    return event_stream(_lines(services.downloads.jobs.follow(job_id)))


async def _lines(jobs: AsyncIterator[DownloadJob]) -> AsyncIterator[str]:
    async for job in jobs:
        yield f"data: {job_body(job).model_dump_json()}\n\n"


def job_body(job: DownloadJob) -> JobBody:
    left = (job.total - job.done) / job.rate if job.rate and job.total else None
    return JobBody(
        id=job.id, kind=job.kind, model=job.model, state=job.state, created=job.created,
        finished=job.finished, error=job.error, warning=job.warning, name=job.name,
        choices=[*job.choices], files=[*job.files], path=job.path, total=job.total,
        done=job.done, rate=job.rate,
        left_s=None if left is None else round(max(0.0, left), 1),
    )  # fmt: skip


def _body(model: LocalModel, users: Mapping[Path, list[str]]) -> ModelBody:
    return ModelBody(
        name=model.name, path=str(model.path), files=[str(file) for file in model.files],
        size=model.size, modified=model.modified, repo=model.repo, quant=model.quant,
        mmproj=None if model.projector is None else str(model.projector),
        used_by=users.get(model.path.resolve(), []),
    )  # fmt: skip


def _users(services: Services) -> dict[Path, list[str]]:
    """Names of instances by the model files that each is made of."""
    found: dict[Path, list[str]] = defaultdict(list)
    for managed in services.instances.all():
        given = managed.instance.options.backend_options
        with suppress(UnknownModel):  # by its repository, which is not here
            given = {**services.catalog.resolve(given)}
        paths = [given[name] for name in _MODELS if isinstance(given.get(name), str)]
        for path in dict.fromkeys(Path(str(path)).resolve() for path in paths):
            found[path].append(managed.instance.name)
    return found


def _file(name: str, services: Services) -> tuple[Path, Path | None]:
    """Raises UnknownModel, ForbiddenBySettings, InvalidRequest."""
    try:
        found = services.catalog.find(name)
    except UnknownModel:
        if (path := Path(name)).is_absolute():
            # before the answer says whether it exists
            services.confinement.check_path("model", path)
            if path.is_dir():
                raise InvalidRequest(_folder(path)) from None
            if path.exists():
                first = path.with_name(_first_part(path.name))
                there = services.catalog.at(first)
                return first, there.projector if there else None
        raise
    return found.path, found.projector


def _first_part(name: str) -> str:
    """Which an engine is given of a split model, whichever its user named."""
    with suppress(ValueError):
        return part_names(name)[0]
    return name


def _folder(path: Path) -> str:
    files = sorted(file.name for file in path.glob("*.gguf"))
    inside = f"in it are {', '.join(files[:20])}" if files else "there is no .gguf file in it"
    return f"{path} is a folder, not a model; name a file: {inside}"


async def _check_cache(services: Services) -> None:
    """Raises ForbiddenBySettings where downloads would go elsewhere than models may lie."""
    await run_in_threadpool(
        services.confinement.check_path, "the folder of downloads, models.cache_dir",
        services.catalog.cache,
    )  # fmt: skip


async def _fit(
    services: Services, seen: Inspection, projector: Path | None, context: int
) -> FitBody:
    given: dict[str, str | int] = {"model": str(seen.path), "ctx_size": context}
    if projector is not None:
        given["mmproj"] = str(projector)
    found = await services.previews.fit(InstanceOptions(backend_options=given))
    return FitBody(ctx_size=context, **fit_fields(found))


def _inspection(seen: Inspection, projector: Path | None, fit: FitBody) -> InspectionBody:
    shape = seen.shape
    return InspectionBody(
        path=str(seen.path), name=seen.name, kind=seen.kind, architecture=shape.architecture,
        parameters=seen.parameters, quantization=seen.quantization, size=seen.size,
        parts=seen.parts, context_length=shape.context, layers=shape.layers,
        embedding_length=shape.embedding, heads=shape.heads, kv_heads=[*shape.kv_heads],
        vocabulary=shape.vocabulary, tokenizer=seen.tokenizer, chat_template=seen.chat_template,
        license=seen.license, mmproj=None if projector is None else str(projector), memory=fit,
    )  # fmt: skip
