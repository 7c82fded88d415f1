"""A download of a model, or of an image for containers, in its current state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobKind(StrEnum):
    MODEL = "model"
    IMAGE = "image"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class DownloadJob:
    id: str
    model: str  # as it was asked for; the reference of an image
    created: float  # Unix seconds
    state: JobState = JobState.QUEUED
    finished: float | None = None
    error: str = ""
    warning: str = ""
    name: str = ""  # of the model, once it is chosen
    choices: tuple[str, ...] = ()  # what else there was
    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()  # paths of incomplete files
    path: str = ""  # of the finished model
    total: int = 0  # bytes
    done: int = 0
    rate: float = 0.0  # bytes a second
    kind: JobKind = JobKind.MODEL
