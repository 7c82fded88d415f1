"""Model files and downloads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from llamactl.client._sync.transport import Transport
from llamactl.client.calls import API, Call, path
from llamactl.schemas.models import (
    FoundBody,
    InspectionBody,
    JobBody,
    ModelBody,
    RepositoryBody,
    StarterBody,
)


class Models:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[ModelBody]:
        return self._transport.read(list[ModelBody], Call("GET", f"{API}/models"))

    def delete(self, model: str) -> None:
        """Its files. `model`: a name of the list."""
        self._transport.send(Call("DELETE", f"{API}/models", {"model": model}))

    def inspect(self, model: str, *, ctx_size: int | None = None) -> InspectionBody:
        """What a file says of itself, and the memory it needs for a context of that size."""
        call = Call("GET", f"{API}/models/inspect", {"model": model, "ctx_size": ctx_size})
        return self._transport.read(InspectionBody, call)

    def download(self, model: str) -> JobBody:
        """Begin, or join, a download: `org/repo`, `org/repo:quant` or `org/repo/file.gguf`."""
        call = Call("POST", f"{API}/models/download", body={"model": model}, again=True)
        return self._transport.read(JobBody, call)

    def jobs(self) -> Sequence[JobBody]:
        return self._transport.read(list[JobBody], Call("GET", f"{API}/models/jobs"))

    def job(self, job_id: str) -> JobBody:
        return self._transport.read(JobBody, Call("GET", self._path(job_id)))

    def pause(self, job_id: str) -> JobBody:
        """Keep what is there, and fetch no more until it is resumed."""
        call = Call("POST", self._path(job_id, "pause"), again=True)
        return self._transport.read(JobBody, call)

    def resume(self, job_id: str) -> JobBody:
        call = Call("POST", self._path(job_id, "resume"), again=True)
        return self._transport.read(JobBody, call)

    def search(self, words: str) -> Sequence[FoundBody]:
        """Repositories of the hub that have GGUF files."""
        call = Call("GET", f"{API}/models/search", {"q": words})
        return self._transport.read(list[FoundBody], call)

    def starters(self) -> Sequence[StarterBody]:
        """Good first models, those that suit the server's machine best first."""
        call = Call("GET", f"{API}/models/starters")
        return self._transport.read(list[StarterBody], call)

    def repository(self, repo: str) -> RepositoryBody:
        """The models of one of the hub's."""
        call = Call("GET", f"{API}/models/repository", {"repo": repo})
        return self._transport.read(RepositoryBody, call)

    def cancel(self, job_id: str) -> None:
        """Stop it and remove its parts; forget one that is over."""
        self._transport.send(Call("DELETE", self._path(job_id)))

    def follow(self, job_id: str) -> Generator[JobBody, None, None]:
        """Its progress, to its end."""
        call = Call("GET", self._path(job_id, "events"))
        with closing(self._transport.events(call)) as events:
            for event in events:
                yield JobBody.model_validate(event)

    def _path(self, *parts: str) -> str:
        return f"{API}/models/jobs{path(*parts)}"
