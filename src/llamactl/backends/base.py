"""The contract of a backend: one kind of engine, described as data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import OptionValue

OPENAI_POSTS = frozenset(
    {
        "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations",
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/images/edits",
        "/v1/images/generations", "/v1/images/variations", "/v1/messages",
        "/v1/messages/count_tokens", "/v1/rerank", "/v1/reranking", "/v1/responses",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailurePattern:
    """A line of the engine's log that tells why it ended, and where that line comes from."""

    pattern: re.Pattern[str]
    failure: FailureClass
    advice: str


class Backend(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def health_path(self) -> str: ...

    @property
    def key_variable(self) -> str:
        """The environment variable that hands the engine its API key."""
        ...

    @property
    def defaults(self) -> Mapping[str, OptionValue]:
        """Options that we give where nobody says otherwise, for the data path's sake."""
        ...

    @property
    def failure_patterns(self) -> Sequence[FailurePattern]: ...

    def canonical(self, options: Mapping[str, OptionValue | None]) -> dict[str, OptionValue | None]:
        """Give every option its one name. Raises InvalidOption."""
        ...

    def render(self, options: Mapping[str, OptionValue]) -> list[str]:
        """Options to argv. Raises InvalidOption where a value could become a flag."""
        ...

    @property
    def inference(self) -> frozenset[tuple[str, str]]:
        """Method and path of what an inference key may call; the rest needs a management key.

        Only these start an instance: looking at one must not wake it.
        """
        ...

    @property
    def model_paths(self) -> frozenset[str]:
        """Paths outside `/v1` that name their instance by `model`, as those within do."""
        ...


KILLED = 9
ILLEGAL_INSTRUCTION = 4


def classify(
    backend: Backend, code: int | None, signal: int | None, log_tail: Sequence[str]
) -> ExitReport:
    """Name the cause of an exit from its status and the last lines of the log."""
    for line in reversed(log_tail):
        for pattern in backend.failure_patterns:
            if pattern.pattern.search(line):
                failure, advice = pattern.failure, pattern.advice
                return ExitReport(failure, code, signal, advice, tuple(log_tail))
    failure, advice = FailureClass.UNKNOWN, "see the instance's log"
    if signal == KILLED:
        failure = FailureClass.KILLED
        advice = "somebody, or the kernel when memory ran out, killed it; check free memory"
    elif signal == ILLEGAL_INSTRUCTION:
        advice = "the engine was built for another processor; use a build for this one"
    elif code in (126, 127):
        failure = FailureClass.COMMAND_MISSING
        advice = "the engine's command cannot be run; check its path and permissions"
    return ExitReport(failure, code, signal, advice, tuple(log_tail))
