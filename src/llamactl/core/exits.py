"""What is known of a process that ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """Why an engine ended, as far as its exit and its log tell."""

    COMMAND_MISSING = "command_missing"
    MODEL_FILE_MISSING = "model_missing"
    MODEL_INVALID = "model_invalid"
    BAD_OPTION = "bad_option"
    PORT_TAKEN = "port_taken"
    OUT_OF_MEMORY = "out_of_memory"
    ILLEGAL_INSTRUCTION = "illegal_instruction"
    GPU = "gpu"  # the device or its driver
    KILLED = "killed"
    CRASHED = "crashed"  # by a signal of its own making
    START_TIMED_OUT = "start_timed_out"
    UNRESPONSIVE = "unresponsive"
    UNPROVED = "unproved"  # found after a restart of llamactl, but not what the ledger says
    EXHAUSTED = "resources_exhausted"  # no process, memory or file to be had for it
    STORE = "store_unavailable"  # what can't be written down is not started
    FORBIDDEN = "forbidden"  # by the settings
    IMAGE_MISSING = "image_missing"  # of a container, and it can't be fetched or may not be
    CONTAINER_ENGINE_DOWN = "container_engine_down"  # it is not installed, or does not answer
    UNKNOWN = "unknown"


# Ended by others, or before it could do anything of its own.
_NOT_ITS_OWN = frozenset(
    {
        FailureClass.COMMAND_MISSING,
        FailureClass.CONTAINER_ENGINE_DOWN,
        FailureClass.EXHAUSTED,
        FailureClass.FORBIDDEN,
        FailureClass.IMAGE_MISSING,
        FailureClass.KILLED,
        FailureClass.START_TIMED_OUT,
        FailureClass.STORE,
        FailureClass.UNPROVED,
        FailureClass.UNRESPONSIVE,
    }
)


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request that an engine was serving when it ended."""

    id: str
    key: str = ""  # the id of its inference key, if it has one
    key_name: str = ""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is known once an engine has dropped its connections."""

    wanted: bool  # the instance runs on, or is being restarted
    crashed: bool = False  # the process ended by its own fault
    summary: str = ""  # how it ended, fit for every key; "" if it lives


@dataclass(frozen=True, slots=True)
class ExitReport:
    """What is known of one exit, for the API, the event log and the restart policy.

    `code` is the exit status, `signal` the number of the signal that ended the process;
    both None when it was never spawned or the status is not to be had.
    """

    failure: FailureClass
    code: int | None = None
    signal: int | None = None
    advice: str = ""
    log_tail: tuple[str, ...] = ()
    unseen: bool = False  # it ran, and nobody who could tell saw how it ended
    excused: bool = False  # it is put on the account of requests that were being served
    requests: tuple[ServedRequest, ...] = ()  # some of those
    error_line: str = ""  # of its log: what explains the exit best

    @property
    def own_fault(self) -> bool:
        """Did the process end by itself: by a crash, an error of its own, or without memory?"""
        if self.failure is FailureClass.OUT_OF_MEMORY:
            return True
        by_itself = self.signal is not None or self.code is not None
        return by_itself and self.failure not in _NOT_ITS_OWN

    @property
    def summary(self) -> str:
        """One sentence without paths or log lines, fit for every key."""
        if self.signal is not None:
            how = f"was ended by signal {self.signal}"
        elif self.code is not None:
            how = f"exited with code {self.code}"
        else:
            how = "exited; its exit status is unknown" if self.unseen else "did not start"
        advice = f": {self.advice}" if self.advice else ""
        return f"the engine {how} ({self.failure}){advice}"

    @property
    def explanation(self) -> str:
        """With what its log says, for management keys."""
        return explained(self.summary, self.error_line)

    def details(self) -> dict[str, object]:
        """All of it, for management keys; fit for JSON."""
        return {
            "class": self.failure.value,
            "advice": self.advice,
            "exit_code": self.code,
            "signal": self.signal,
            "error_line": self.error_line,
            "log_tail": list(self.log_tail),
            "requests": [
                {"id": one.id, "key": one.key, "key_name": one.key_name} for one in self.requests
            ],
        }


@dataclass(frozen=True, slots=True)
class NotServing:
    """Why a process that lives does not serve, and is ended."""

    failure: FailureClass
    why: str  # in words that every key may see
    line: str = ""  # of its log, that says it


def explained(summary: str, line: str) -> str:
    """A summary with the log's line that explains it, if there is one."""
    return f"{summary}; its log says: {line}" if line else summary
