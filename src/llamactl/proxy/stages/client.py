"""Where a client's connection is: one request after the other, or a WebSocket."""

from __future__ import annotations

from typing import Final

from llamactl.proxy.stages.table import Name, Table, drawn, follow


class Stage:
    IDLE: Final = Name("idle")  # between two requests
    HEAD: Final = Name("head")  # of the next request, a part of it came
    AHEAD: Final = Name("ahead")  # what was sent ahead waits for its turn, or for its client
    BODY: Final = Name("body")  # of a request, whose handler has it already
    SERVED: Final = Name("served")  # a request that came completely
    WEBSOCKET: Final = Name("websocket")
    ENDING: Final = Name("ending")  # what still comes is dropped


class Step:
    PART: Final = Name("part")  # of a head
    BEGINS: Final = Name("begins")  # its head came, and its body follows
    COMPLETE: Final = Name("complete")  # the request
    ANSWERED: Final = Name("answered")  # and the connection stays
    WAITS: Final = Name("waits")
    READ: Final = Name("read")  # what waited
    UPGRADED: Final = Name("upgraded")
    ENDED: Final = Name("ended")  # by the client or by us


_ENDS = {Step.ENDED: Stage.ENDING}
_NEXT = {
    Step.PART: Stage.HEAD,
    Step.BEGINS: Stage.BODY,
    Step.COMPLETE: Stage.SERVED,
}
TABLE: Table = {
    Stage.IDLE: {**_NEXT, Step.WAITS: Stage.AHEAD, **_ENDS},
    Stage.HEAD: {**_NEXT, Step.WAITS: Stage.AHEAD, **_ENDS},
    Stage.AHEAD: {Step.READ: Stage.IDLE, **_ENDS},
    Stage.BODY: {Step.COMPLETE: Stage.SERVED, Step.ANSWERED: Stage.IDLE, **_ENDS},
    Stage.SERVED: {Step.ANSWERED: Stage.IDLE, Step.UPGRADED: Stage.WEBSOCKET, **_ENDS},
    Stage.WEBSOCKET: _ENDS,
    Stage.ENDING: _ENDS,
}
follow(TABLE)


def to_mermaid() -> str:
    """Draw TABLE for docs/architecture.md."""
    return drawn(TABLE, Stage.ENDING)
