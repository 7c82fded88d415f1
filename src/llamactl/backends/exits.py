"""Names the cause of an engine's exit, from its status and its log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llamactl.backends.contract import Backend, FailurePattern
from llamactl.backends.error_lines import complaint, cut, last, said
from llamactl.core.exits import ExitReport, FailureClass

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
_ASKED = (
    FailureClass.KILLED,
    "it exited normally; something other than llamactl probably asked it to",
)
# What a container's init says: tini, Docker's, and catatonit, Podman's, which exits with 1.
_NO_PROGRAM = re.compile(r"\[FATAL tini .*exec|ERROR \(catatonit.*exec")
_OUT_OF_MEMORY = (
    FailureClass.OUT_OF_MEMORY,
    "the kernel killed it because memory ran out: use a smaller context or model, or run fewer "
    "instances at once",
)
_KILLED_ITSELF = (
    FailureClass.CRASHED,
    "the engine ended itself because a part of it had failed; see its log",
)
_REPORTED = 20  # lines
_LAST_WORDS = 5  # lines


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

    `oom_killed`: the kernel's OOM killer struck while it ran. The first of these counts:
    1. The kernel's word.
    2. A signal that others send, unless it says that it sends it to itself.
    3. An exit with 0 of an engine that exits so only when it is asked to.
    4. The engine's own word, the last first.
    5. A signal of its own making.
    6. The exit status.
    """
    reported = tuple(log_tail[-_REPORTED:])
    failure, advice = _cause(backend, code, signal, log_tail, oom_killed=oom_killed)
    line = "" if failure is FailureClass.KILLED else _line(backend, failure, log_tail)
    return ExitReport(failure, code, signal, advice, reported, error_line=line)


def _line(backend: Backend, failure: FailureClass, log_tail: Sequence[str]) -> str:
    """Of the log, what explains the exit best."""
    for line in reversed(log_tail):
        if any(
            one.failure is failure and one.pattern.search(line) for one in backend.failure_patterns
        ):
            return cut(line)
    found = complaint(log_tail, backend.vague_lines)
    return found or (last(log_tail) if failure is FailureClass.UNKNOWN else "")


def _known(backend: Backend, log_tail: Sequence[str]) -> FailurePattern | None:
    """The last one that says why, else the last one of all."""
    lost: FailurePattern | None = None
    for line in reversed(log_tail):
        for known in backend.failure_patterns:
            if known.pattern.search(line):
                if not known.lost:
                    return known
                lost = lost or known
    return lost


def _by_signal(
    backend: Backend, signal: int | None, log_tail: Sequence[str]
) -> tuple[FailureClass, str]:
    says_so = backend.kills_itself
    if signal == _KILL and says_so and any(map(says_so.search, said(log_tail)[-_LAST_WORDS:])):
        return _KILLED_ITSELF
    return _SIGNALS.get(signal or 0, _CRASHED)


def _cause(
    backend: Backend,
    code: int | None,
    signal: int | None,
    log_tail: Sequence[str],
    *,
    oom_killed: bool,
) -> tuple[FailureClass, str]:
    unseen = signal is None and code is None
    signal, known = _signal(code, signal), _known(backend, log_tail)
    lost = known is not None and known.lost  # it lived on, for a moment
    if oom_killed and (signal == _KILL or unseen or lost):
        return _OUT_OF_MEMORY
    by_signal = _by_signal(backend, signal, log_tail)
    if by_signal[0] is FailureClass.KILLED:
        return by_signal
    if signal is None and code == 0 and backend.exits_when_asked:
        return _ASKED
    if known is not None:
        return known.failure, known.advice
    if signal is not None:
        return by_signal
    if code == 0:
        return _ASKED
    if code in (126, 127) or any(map(_NO_PROGRAM.match, log_tail)):
        return (
            FailureClass.COMMAND_MISSING,
            "the engine's command cannot be run; check its path and permissions",
        )
    return FailureClass.UNKNOWN, "see the instance's log"
