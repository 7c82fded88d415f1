"""Downloads a model, in a process that ends when its parent does: see `worker.py`.

huggingface_hub says what there is and keeps its cache in order; the bytes are fetched here, since
it keeps nothing of a file that it could not finish. Finished byte ranges are never asked for twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
from huggingface_hub import HfApi, get_token, hf_hub_download, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from llamactl.core.errors import LlamactlError
from llamactl.models.naming import Choice, RemoteFile, choices, choose, projector, read_reference

_OK, _PARTIAL, _BAD, _AUTH, _GONE, _RANGE = 200, 206, 400, (401, 403), 404, 416
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_TRIES = 8  # in a row that brought nothing
_LONGEST_S, _SILENCE_S, _PAUSE_S = 30.0, 30.0, 0.05
_BACKOFF = wait_exponential(0.2, max=_LONGEST_S)
_TELL_S = 0.2
_CHUNK = 1 << 20
_SPARE = 1 << 28  # bytes of the disk that are left free


class Interrupted(Exception):
    """It may be tried again. `after`: seconds that the hub asked us to wait."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class CannotDownload(Exception):
    """Trying again will not help."""


class Progress:
    """Lines of JSON for who started us."""

    def __init__(self) -> None:
        self._done = 0
        self._told_at = 0.0

    def tell(self, event: str, **values: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told_at > _TELL_S:
            self._told_at = now
            self.tell("progress", done=self._done)

    def flush(self) -> None:
        self._told_at = 0.0
        self.add(0)


def main(spec: Mapping[str, str]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress = Progress()
    try:
        path = fetch(spec["model"], Path(spec["cache"]), progress)
    except CannotDownload as exc:
        progress.tell("failed", error=str(exc))
    except LlamactlError as exc:
        progress.tell("failed", error=exc.message, choices=exc.details.get("choices", []))
    except GatedRepoError:
        progress.tell("failed", error=f"{spec['model']} is gated: accept its terms on the hub, "
        "then set HF_TOKEN for the server")  # fmt: skip
    except RepositoryNotFoundError:
        progress.tell("failed", error=f"the hub has no {spec['model']}, or HF_TOKEN has no "
        "access to it; check the name")  # fmt: skip
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as exc:
        progress.tell("failed", error=f"{spec['model']}: {str(exc).splitlines()[0][:500]}")
    else:
        progress.tell("done", path=str(path))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def fetch(model: str, cache: Path, progress: Progress) -> Path:
    """Returns the model's path in the cache.

    Raises CannotDownload, LlamactlError, HfHubHTTPError or OSError.
    """
    wanted = read_reference(model)
    info = HfApi().model_info(wanted.repo, files_metadata=True)
    assert info.sha is not None
    files = [
        RemoteFile(f.rfilename, f.size or 0, f.lfs.sha256 if f.lfs else "")
        for f in info.siblings or ()
    ]
    etags = {f.rfilename: f.lfs.sha256 if f.lfs else f.blob_id or "" for f in info.siblings or ()}
    found = choices(files)
    chosen = choose(found, wanted)
    sees = projector(files)
    all_files = [*chosen.files, *([sees] if sees else [])]
    folder = cache / f"models--{wanted.repo.replace('/', '--')}"
    blobs = {file: folder / "blobs" / _safe_etag(etags[file.path]) for file in all_files}
    _say(progress, wanted.repo, chosen, found, blobs)
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    _check_room(cache, blobs)
    for file, blob in blobs.items():
        if blob.exists():
            progress.add(file.size)
        else:
            _fetch_file(wanted.repo, info.sha, file, blob, progress)
    progress.flush()
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(info.sha)
    paths = [
        hf_hub_download(wanted.repo, file.path, revision=info.sha, cache_dir=cache)
        for file in all_files
    ]
    return Path(paths[0])


def _safe_etag(etag: str) -> str:
    if not etag.isalnum() or len(etag) > 128:  # noqa: PLR2004
        raise CannotDownload(f"the hub's ETag {etag[:50]!r} is not a hash")
    return etag


def part_of(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.part")


def _say(
    progress: Progress,
    repo: str,
    chosen: Choice,
    found: list[Choice],
    blobs: dict[RemoteFile, Path],
) -> None:
    first = chosen.files[0].path
    progress.tell(
        "chosen",
        name=f"{repo}:{chosen.quant or Path(first).stem}",
        choices=[c.quant or c.files[0].path for c in found],
        files=[file.path for file in blobs],
        parts=[str(part_of(blob)) for blob in blobs.values()],
        total=sum(file.size for file in blobs),
    )


def _check_room(cache: Path, blobs: dict[RemoteFile, Path]) -> None:
    """Raises CannotDownload, before a byte is fetched."""
    needed = 0
    for file, blob in blobs.items():
        part = part_of(blob)
        there = part.stat().st_size if part.exists() else 0
        needed += 0 if blob.exists() else max(0, file.size - there)
    free = shutil.disk_usage(cache).free
    if needed and needed + _SPARE > free:
        raise CannotDownload(
            f"{needed >> 20} MiB must be downloaded, but {cache} has only {free >> 20} MiB free; "
            "free disk space, or set models.cache_dir"
        )


def _fetch_file(repo: str, commit: str, file: RemoteFile, blob: Path, progress: Progress) -> None:
    url = hf_hub_url(repo, file.path, revision=commit)
    part = part_of(blob)
    with _locked(part) as out:
        progress.add(min(out.seek(0, os.SEEK_END), file.size))
        for attempt in (1, 2):
            _fetch_rest(url, file, out, progress)
            if not file.sha256 or _digest(part) == file.sha256:
                break
            progress.add(-file.size)
            out.truncate(0)
            if attempt == 2:  # noqa: PLR2004
                part.unlink()
                raise CannotDownload(f"{file.path} has a wrong checksum, twice; retry later")
        os.fsync(out.fileno())
        part.rename(blob)


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with os.fdopen(fd, "ab", buffering=0) as out:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise CannotDownload(f"{part.name} is being downloaded by another process") from exc
        yield out


def _fetch_rest(url: str, file: RemoteFile, out: BinaryIO, progress: Progress) -> None:
    """What is lacking, however often the connection breaks, as long as it brings something."""
    attempts = Retrying(
        stop=stop_after_attempt(_TRIES),
        retry=retry_if_exception_type((httpx2.TransportError, Interrupted)),
        wait=_wait,
        reraise=True,
    )
    try:
        attempts(_fetch_further, url, file, out, progress)
    except (httpx2.TransportError, Interrupted) as exc:
        raise CannotDownload(f"{file.path}: failed after {_TRIES} attempts: {exc}") from exc


def _fetch_further(url: str, file: RemoteFile, out: BinaryIO, progress: Progress) -> None:
    """Resumes where it stopped. Raises as `_fetch_once` if that brought nothing."""
    while True:
        at = out.seek(0, os.SEEK_END)
        try:
            return _fetch_once(url, file, out, progress)
        except (httpx2.TransportError, Interrupted):
            if out.seek(0, os.SEEK_END) <= at:
                raise
            time.sleep(_PAUSE_S)


def _wait(state: RetryCallState) -> float:
    failed = state.outcome.exception() if state.outcome else None
    asked = getattr(failed, "after", None)
    return min(_LONGEST_S, asked) if asked else _BACKOFF(state)


def _fetch_once(url: str, file: RemoteFile, out: BinaryIO, progress: Progress) -> None:
    """Raises Interrupted or TransportError if it can resume, otherwise CannotDownload."""
    at = out.seek(0, os.SEEK_END)
    if file.size and at >= file.size:
        if at > file.size:
            out.truncate(0)
            progress.add(-file.size)
            raise Interrupted("it is larger than expected")
        return
    token = get_token()
    headers = {"accept-encoding": "identity"} | (
        {"authorization": f"Bearer {token}"} if token else {}
    )
    if at:
        headers["range"] = f"bytes={at}-"
    # httpx leaves the token behind where a redirect leads to another host
    timeout = httpx2.Timeout(_SILENCE_S)
    with httpx2.stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as came:
        _check_answer(came, file, at)
        if at and came.status_code == _OK:  # it knows no ranges
            progress.add(-at)
            out.truncate(0)
        for chunk in came.iter_raw():
            out.write(chunk)
            progress.add(len(chunk))
    if file.size and out.seek(0, os.SEEK_END) < file.size:
        raise Interrupted("it ended early")


def _check_answer(came: httpx2.Response, file: RemoteFile, at: int) -> None:
    status = came.status_code
    if status in _AUTH:
        raise CannotDownload(f"the hub refuses {file.path} ({status}): set HF_TOKEN for the server")
    if status == _GONE:
        raise CannotDownload(f"the hub no longer has {file.path}")
    if status in _AGAIN or status == _RANGE:
        after = came.headers.get("retry-after", "")
        raise Interrupted(f"status {status}", float(after) if after.isdigit() else None)
    begins = came.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    if status not in (_OK, _PARTIAL) or (status == _PARTIAL and begins != str(at)):
        raise CannotDownload(f"the hub responded with {status} for {file.path}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
