"""Where a client's connection is: one request after the other, or a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.proxy.stages.table import Name, drawn


class Stage(Name):
    IDLE = "idle"  # between two requests
    HEAD = "head"  # of the next request, a part of it came
    AHEAD = "ahead"  # what was sent ahead waits for its turn, or for its client to read
    BODY = "body"  # of a request, whose handler has it already
    SERVED = "served"  # a request that came completely
    WEBSOCKET = "websocket"
    ENDING = "ending"  # what still comes is dropped


class Step(Name):
    PART = "part"  # of a head
    BEGINS = "begins"  # its head came, and its body follows
    COMPLETE = "complete"  # the request
    ANSWERED = "answered"  # and the connection stays
    WAITS = "waits"
    READ = "read"  # what waited
    UPGRADED = "upgraded"
    ENDED = "ended"  # by the client or by us


_ENDS = {Step.ENDED: Stage.ENDING}
_NEXT = {
    Step.PART: Stage.HEAD,
    Step.BEGINS: Stage.BODY,
    Step.COMPLETE: Stage.SERVED,
}
TABLE: Mapping[Stage, Mapping[Step, Stage]] = {
    Stage.IDLE: {**_NEXT, Step.WAITS: Stage.AHEAD, **_ENDS},
    Stage.HEAD: {**_NEXT, Step.WAITS: Stage.AHEAD, **_ENDS},
    Stage.AHEAD: {Step.READ: Stage.IDLE, **_ENDS},
    Stage.BODY: {Step.COMPLETE: Stage.SERVED, Step.ANSWERED: Stage.IDLE, **_ENDS},
    Stage.SERVED: {Step.ANSWERED: Stage.IDLE, Step.UPGRADED: Stage.WEBSOCKET, **_ENDS},
    Stage.WEBSOCKET: _ENDS,
    Stage.ENDING: _ENDS,
}


def to_mermaid() -> str:
    """Draw TABLE for docs/architecture.md."""
    return drawn(TABLE, Stage.ENDING)
