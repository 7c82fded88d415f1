"""Where an exchange is, from a known instance to the last byte of its answer, and what comes next.

A table, which `docs/architecture.md` draws: what it does not have cannot happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class Stage(Enum):
    OPENING = "opening"  # nothing was done for it yet
    WAITING = "waiting"  # for its instance
    CONNECTING = "connecting"  # to the engine
    ASKING = "asking"  # the engine has the request, or gets it
    DROPPED = "dropped"  # by an engine that did not answer: why is being found out
    ANSWERING = "answering"  # the answer comes
    WORKING = "working"  # on an answer that came completely
    CUT_SHORT = "cut_short"  # in its answer: why is being found out
    OVER = "over"

    __hash__ = object.__hash__  # that of Enum takes ten times as long


class Step(Enum):
    WAITS = auto()
    CONNECTS = auto()
    ASKS = auto()
    LOST = auto()  # the engine, or the way to it
    ANSWERS = auto()
    ALL_CAME = auto()
    ENDED = auto()  # with a complete answer
    REFUSED = auto()  # with an error of ours
    BROKEN_OFF = auto()  # after its answer had begun
    GONE = auto()  # the client

    __hash__ = object.__hash__


class ImpossibleStep(Exception):
    """Our own error."""


_ENDS = {step: Stage.OVER for step in (Step.REFUSED, Step.BROKEN_OFF, Step.GONE)}
_BEGINS = {
    Step.WAITS: Stage.WAITING,
    Step.CONNECTS: Stage.CONNECTING,
    Step.ASKS: Stage.ASKING,
}
TABLE: Mapping[Stage, Mapping[Step, Stage]] = {
    Stage.OPENING: _BEGINS | _ENDS,
    # a client that waits for a stream may have its beginning from us
    Stage.WAITING: {
        Step.CONNECTS: Stage.CONNECTING, Step.ASKS: Stage.ASKING, **_ENDS,
    },
    Stage.CONNECTING: {
        Step.ASKS: Stage.ASKING, Step.LOST: Stage.DROPPED, **_ENDS,
    },
    Stage.ASKING: {
        Step.CONNECTS: Stage.CONNECTING,  # again: the engine had closed an idle one
        Step.LOST: Stage.DROPPED, Step.ANSWERS: Stage.ANSWERING, **_ENDS,
    },
    Stage.DROPPED: _BEGINS | _ENDS,
    Stage.ANSWERING: {
        Step.ALL_CAME: Stage.WORKING, Step.LOST: Stage.CUT_SHORT, Step.ENDED: Stage.OVER, **_ENDS,
    },
    Stage.WORKING: {Step.ENDED: Stage.OVER, **_ENDS},
    Stage.CUT_SHORT: _ENDS,
    Stage.OVER: {},
}  # fmt: skip


def to_mermaid() -> str:
    """Draw TABLE for docs/architecture.md; what ends it at any time, once."""
    always = set.intersection(*(set(row) for stage, row in TABLE.items() if row))
    steps = sorted(
        f"    {stage.value} --> {to.value}: {step.name.lower()}"
        for stage, row in TABLE.items()
        for step, to in row.items()
        if step not in always
    )
    ends = ", ".join(sorted(step.name.lower() for step in always))
    note = f"    note right of over: from anywhere by {ends}"
    first = f"    [*] --> {Stage.OPENING.value}"
    return "\n".join(["stateDiagram-v2", first, *steps, note])
