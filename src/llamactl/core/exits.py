"""What is known of a process that ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """Why an engine ended, as far as its exit and its log tell."""

    COMMAND_MISSING = "command_missing"
    MODEL_MISSING = "model_missing"
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
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ExitReport:
    """The story of one exit, for the API, the event log and the restart policy.

    `code` is the exit status, `signal` the number of the signal that ended the process;
    both None when it was never spawned or the status is not to be had.
    """

    failure: FailureClass
    code: int | None = None
    signal: int | None = None
    advice: str = ""
    log_tail: tuple[str, ...] = ()
    unseen: bool = False  # it ran, and nobody who could tell saw how it ended

    @property
    def summary(self) -> str:
        """One sentence without paths or log lines, fit for every key."""
        if self.signal is not None:
            how = f"was ended by signal {self.signal}"
        elif self.code is not None:
            how = f"exited with code {self.code}"
        else:
            how = "ended unseen" if self.unseen else "did not start"
        advice = f": {self.advice}" if self.advice else ""
        return f"the engine {how} ({self.failure}){advice}"

    def details(self) -> dict[str, object]:
        """All of it, for management keys; fit for JSON."""
        return {
            "class": self.failure.value,
            "advice": self.advice,
            "exit_code": self.code,
            "signal": self.signal,
            "log_tail": list(self.log_tail),
        }
