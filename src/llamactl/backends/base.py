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
    """A log line of the engine that explains its exit, and the source of that line."""

    pattern: re.Pattern[str]
    failure: FailureClass
    advice: str
    source: str  # URL


@dataclass(frozen=True, slots=True)
class ErrorAdvice:
    """What to do about an error that the engine answers, and where its message comes from."""

    pattern: re.Pattern[str]
    advice: str  # in words that an inference key may see
    source: str  # URL


class Backend(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def health_path(self) -> str: ...

    @property
    def guarded_path(self) -> str:
        """A path that responds at once in any state, but only to requests with the key."""
        ...

    @property
    def key_variable(self) -> str:
        """The environment variable that hands the engine its API key."""
        ...

    @property
    def secret_variables(self) -> Mapping[str, str]:
        """By flag, the environment variable that it reads the same from, for secret values."""
        ...

    @property
    def defaults(self) -> Mapping[str, OptionValue]:
        """Options that we give where nobody says otherwise, for the data path's sake."""
        ...

    @property
    def synonyms(self) -> Sequence[frozenset[str]]:
        """Names in a request's body that the engine takes for one parameter."""
        ...

    @property
    def failure_patterns(self) -> Sequence[FailurePattern]: ...

    @property
    def error_advice(self) -> Sequence[ErrorAdvice]: ...

    def name_flags(
        self, name: str, options: Mapping[str, OptionValue], words: Sequence[str]
    ) -> list[str]:
        """Makes the engine call itself so in its answers; none where people named it already.

        `words`: arguments and names of environment variables that they gave besides.
        """
        ...

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
    def guarded(self) -> frozenset[str]:
        """First words of the paths, below `/v1` or not, that need a management key."""
        ...

    @property
    def model_paths(self) -> frozenset[str]:
        """Paths outside `/v1` that name their instance by `model`, as those within do."""
        ...


def advice_on(backend: Backend, message: str) -> str:
    """What to do about what the engine answered; "" where nothing is known."""
    known = (known for known in backend.error_advice if known.pattern.search(message))
    return next((found.advice for found in known), "")


_SIGNALS: Mapping[int, tuple[FailureClass, str]] = {
    1: (FailureClass.KILLED, "something other than llamactl closed its terminal"),
    2: (FailureClass.KILLED, "something other than llamactl interrupted it"),
    3: (FailureClass.KILLED, "something other than llamactl asked it to quit"),
    4: (
        FailureClass.ILLEGAL_INSTRUCTION,
        "the engine was built for another processor; use a build for this one",
    ),
    6: (FailureClass.CRASHED, "the engine aborted because of an internal error; see its log"),
    7: (
        FailureClass.CRASHED,
        "the engine could no longer read its model; check the file and its disk",
    ),
    8: (FailureClass.CRASHED, "the engine crashed; see its log, or try another version of it"),
    9: (
        FailureClass.KILLED,
        "something other than llamactl and the kernel's OOM killer killed it",
    ),
    11: (FailureClass.CRASHED, "the engine crashed; see its log, or try another version of it"),
    15: (FailureClass.KILLED, "something other than llamactl asked it to exit"),
}  # by number, https://man7.org/linux/man-pages/man7/signal.7.html
_BY_SHELL = 128  # what a shell adds to the signal that ended its child
_KILL = 9
_CRASHED = (FailureClass.CRASHED, "see the instance's log")
_REPORTED = 20  # lines


def _signal(code: int | None, signal: int | None) -> int | None:
    """That ended the process, or its child if it is a shell."""
    if signal is None and code is not None and code - _BY_SHELL in _SIGNALS:
        return code - _BY_SHELL
    return signal


def classify(
    backend: Backend,
    code: int | None,
    signal: int | None,
    log_tail: Sequence[str],
    *,
    oom_killed: bool = False,
) -> ExitReport:
    """Name the cause of an exit from its status and the last lines of the log.

    `oom_killed`: the kernel's OOM killer struck while it ran. 1. The kernel's word. 2. A signal
    that others send. 3. The engine's own word, the last first. 4. A signal of its own making.
    5. The exit status.
    """
    reported = tuple(log_tail[-_REPORTED:])
    failure, advice = _cause(backend, code, signal, log_tail, oom_killed=oom_killed)
    return ExitReport(failure, code, signal, advice, reported)


def _cause(
    backend: Backend,
    code: int | None,
    signal: int | None,
    log_tail: Sequence[str],
    *,
    oom_killed: bool,
) -> tuple[FailureClass, str]:
    unseen = signal is None and code is None
    signal = _signal(code, signal)
    if oom_killed and (signal == _KILL or unseen):
        return (
            FailureClass.OUT_OF_MEMORY,
            "the kernel killed it because memory ran out: use a smaller context or model, or run "
            "fewer instances at once",
        )
    if signal is not None and _SIGNALS.get(signal, _CRASHED)[0] is FailureClass.KILLED:
        return _SIGNALS[signal]
    for line in reversed(log_tail):
        for known in backend.failure_patterns:
            if known.pattern.search(line):
                return known.failure, known.advice
    if signal is not None:
        return _SIGNALS.get(signal, _CRASHED)
    if code == 0:
        return (
            FailureClass.KILLED,
            "it exited normally; something other than llamactl probably asked it to",
        )
    if code in (126, 127):
        return (
            FailureClass.COMMAND_MISSING,
            "the engine's command cannot be run; check its path and permissions",
        )
    return FailureClass.UNKNOWN, "see the instance's log"
