"""Where an exchange is, from a known instance to the last byte of its answer."""

from __future__ import annotations

from typing import Final

from llamactl.proxy.stages.table import Name, Table, drawn, follow


class Stage:
    OPENING: Final = Name("opening")  # nothing was done for it yet
    WAITING: Final = Name("waiting")  # for its instance
    CONNECTING: Final = Name("connecting")  # to the engine
    ASKING: Final = Name("asking")  # the engine has the request, or gets it
    DROPPED: Final = Name("dropped")  # by an engine that did not answer: why is being found out
    ANSWERING: Final = Name("answering")  # the answer comes
    WORKING: Final = Name("working")  # on an answer that came completely
    CUT_SHORT: Final = Name("cut_short")  # in its answer: why is being found out
    OVER: Final = Name("over")


class Step:
    WAITS: Final = Name("waits")
    CONNECTS: Final = Name("connects")
    ASKS: Final = Name("asks")
    LOST: Final = Name("lost")  # the engine, or the way to it
    ANSWERS: Final = Name("answers")
    ALL_CAME: Final = Name("all came")
    ENDED: Final = Name("ended")  # with a complete answer
    REFUSED: Final = Name("refused")  # with an error of ours
    BROKEN_OFF: Final = Name("broken off")  # after its answer had begun
    GONE: Final = Name("gone")  # the client


_ENDS = {step: Stage.OVER for step in (Step.REFUSED, Step.BROKEN_OFF, Step.GONE)}
_BEGINS = {
    Step.WAITS: Stage.WAITING,
    Step.CONNECTS: Stage.CONNECTING,
    Step.ASKS: Stage.ASKING,
}
TABLE: Table = {
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
follow(TABLE)


def to_mermaid() -> str:
    """Draw TABLE for docs/architecture.md."""
    return drawn(TABLE, Stage.OVER)
