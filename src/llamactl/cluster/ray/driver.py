"""The process that speaks with Ray, so that no other of ours has to import it.

    python -m llamactl.cluster.ray.driver ADDRESS

Ray ends its driver as it likes. Standard input is a socket: each question on it is for a node,
by name. It ends with the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import Any

import ray
from ray.exceptions import RayError

from llamactl.cluster.frames import Frames
from llamactl.cluster.line import LineDown
from llamactl.cluster.ray.mailbox import Mailbox
from llamactl.cluster.ray.members import Member, encode
from llamactl.cluster.ray.names import LABEL, MEMBERS, NAMESPACE

_CALL_S = 60.0  # more than a node's service takes for an answer
_AT_ONCE = 1000  # calls to a node
_LOOK_S = 0.5
_PATIENCE_S = 20.0  # of one who waits for others to come or go


class Nodes:
    """Their mailboxes, made when they are first asked for."""

    def __init__(self) -> None:
        self._boxes: dict[str, Any] = {}
        self._members = b""  # as they were last seen
        self._changed = asyncio.Condition()

    async def answer(self, question: bytes) -> bytes:
        name, _, call = question.partition(b"\0")
        if name == MEMBERS:
            return await self._other_members(call)
        try:
            async with asyncio.timeout(_CALL_S):
                answer = await self._ask(name.decode(), call)
        except (RayError, TimeoutError, ValueError) as exc:
            self._boxes.pop(name.decode(), None)
            raise LineDown from exc
        if answer is None:
            raise LineDown
        return answer

    async def keep_looking(self) -> None:
        """Who is there? Until cancelled."""
        while True:
            with contextlib.suppress(RayError, ValueError):  # Ray's head is away: nobody knows
                seen = encode(await asyncio.to_thread(_members))
                if seen != self._members:
                    self._members = seen
                    async with self._changed:
                        self._changed.notify_all()
            await asyncio.sleep(_LOOK_S)

    async def _other_members(self, than: bytes) -> bytes:
        """As soon as there are some; or the same, after a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: self._members not in (b"", than))
        return self._members or encode(())

    async def _ask(self, name: str, call: bytes) -> bytes | None:
        if name not in self._boxes:
            self._boxes[name] = await asyncio.to_thread(_box, name)
        answer: bytes | None = await self._boxes[name].answer.remote(call)
        return answer


def _box(name: str) -> Any:
    """Pinned by a label: where the node is away it waits, and is made again when it is back."""
    made = ray.remote(Mailbox).options(
        name=f"node {name}", lifetime="detached", get_if_exists=True,
        num_cpus=0, max_restarts=-1, max_concurrency=_AT_ONCE, label_selector={LABEL: name},
    )  # fmt: skip
    return made.remote()


def _members() -> list[Member]:
    """A machine that was started again is listed as it was before, too: as one that is dead."""
    found = dict[str, Member]()
    for machine in ray.nodes():
        name = machine.get("Labels", {}).get(LABEL)
        if name and (machine["Alive"] or name not in found):
            found[name] = Member(name, machine["NodeManagerAddress"], there=machine["Alive"])
    return sorted(found.values(), key=lambda member: member.node)


async def _serve(end: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=end)
    nodes = Nodes()
    looking = asyncio.create_task(nodes.keep_looking())
    await Frames(reader, writer, nodes.answer).run()
    looking.cancel()
    os._exit(0)  # calls into Ray may wait for ever for a head that is gone


def main() -> None:
    end = socket.socket(fileno=os.dup(0))
    os.close(0)
    address, own = sys.argv[1:]
    ray.init(
        address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False,
        _node_ip_address=own,
    )  # fmt: skip
    asyncio.run(_serve(end))


if __name__ == "__main__":
    main()
