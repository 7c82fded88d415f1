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
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from llamactl.cluster.calls.frames import Frames
from llamactl.cluster.calls.line import LineDown, NodeGone
from llamactl.cluster.ray.mailbox import Mailbox
from llamactl.cluster.ray.members import Member, encode
from llamactl.cluster.ray.names import LABEL, MEMBERS, NAMESPACE

_CALL_S = 60.0  # more than a node's service takes for an answer
_AT_ONCE = 1000  # calls to a node
_LOOK_S = 0.5
_PATIENCE_S = 20.0  # of one who waits for others to come or go


class RayReplacedError(Exception):
    """Another Ray runs here than the one that this process began with.

    It may hear nothing of actors that have moved since, and its calls to them would get no answer.
    """


class Nodes:
    """Their mailboxes, made when they are first asked for."""

    def __init__(self, own: str) -> None:
        """`own`: this machine's address."""
        self._own = own
        self._ray = ""  # Ray's ID of this machine, once it is known
        self._boxes: dict[str, asyncio.Task[Any]] = {}
        self._away: frozenset[str] = frozenset()  # what is asked of them would wait in Ray
        self._members = b""  # as they were last seen
        self._changed = asyncio.Condition()

    async def answer(self, question: bytes) -> bytes:
        name, _, call = question.partition(b"\0")
        if name == MEMBERS:
            return await self._other_members(call)
        if name.decode() in self._away:
            raise LineDown
        try:
            async with asyncio.timeout(_CALL_S):
                answer = await self._ask(name.decode(), call)
        except (RayError, TimeoutError, ValueError) as exc:
            self._boxes.pop(name.decode(), None)
            raise LineDown from exc
        if answer is None:
            raise NodeGone
        if not answer:
            raise LineDown
        return answer

    async def keep_looking(self) -> None:
        """Who is there? Until cancelled. Raises RayReplacedError."""
        while True:
            with contextlib.suppress(RayError, ValueError):  # Ray's head is away: nobody knows
                machines = await asyncio.to_thread(ray.nodes)
                self._expect_same_ray(machines)
                members = _members(machines)
                self._away = frozenset(one.node for one in members if not one.there)
                seen = encode(members)
                if seen != self._members:
                    self._members = seen
                    async with self._changed:
                        self._changed.notify_all()
            await asyncio.sleep(_LOOK_S)

    def _expect_same_ray(self, machines: Sequence[Mapping[str, Any]]) -> None:
        now = [
            str(machine["NodeID"]) for machine in machines
            if machine["Alive"] and machine["NodeManagerAddress"] == self._own
        ]  # fmt: skip
        self._ray = self._ray or (now[0] if len(now) == 1 else "")
        if now and self._ray and self._ray not in now:
            raise RayReplacedError

    async def _other_members(self, than: bytes) -> bytes:
        """Returns once they differ from `than`, or after a while all the same."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: self._members not in (b"", than))
        return self._members or encode(())

    async def _ask(self, name: str, call: bytes) -> bytes | None:
        if name not in self._boxes:
            making = asyncio.to_thread(_box, name)  # once, however many ask
            self._boxes[name] = asyncio.get_running_loop().create_task(making)
        box = await asyncio.shield(self._boxes[name])
        answer: bytes | None = await box.answer.remote(call)
        return answer


def _box(name: str) -> Any:
    """Pinned by a label: where the node is away it waits, and is made again when it is back."""
    made = ray.remote(Mailbox).options(
        name=f"node {name}", lifetime="detached", get_if_exists=True,
        num_cpus=0, max_restarts=-1, label_selector={LABEL: name},
        max_concurrency=_AT_ONCE, max_pending_calls=2 * _AT_ONCE,
    )  # fmt: skip
    return made.remote()


def _members(machines: Sequence[Mapping[str, Any]]) -> list[Member]:
    """A machine that was started again is listed as it was before, too: as one that is dead."""
    found = dict[str, Member]()
    for machine in machines:
        name = (machine.get("Labels") or {}).get(LABEL)
        if name and (machine["Alive"] or name not in found):
            address, alive = machine["NodeManagerAddress"], machine["Alive"]
            known = found.get(name)
            twice = alive and known is not None and (known.there or known.twice)
            found[name] = Member(name, address, there=alive and not twice, twice=twice)
    return sorted(found.values(), key=lambda member: member.node)


async def _serve(end: socket.socket, own: str) -> None:
    reader, writer = await asyncio.open_connection(sock=end)
    nodes = Nodes(own)
    looking = asyncio.create_task(nodes.keep_looking())
    serving = asyncio.create_task(Frames(reader, writer, nodes.answer).run())
    await asyncio.wait({looking, serving}, return_when=asyncio.FIRST_COMPLETED)
    if looking.done():
        traceback.print_exception(looking.exception())
        sys.stderr.flush()
    os._exit(0)  # calls into Ray may wait for ever for a head that is gone


def main() -> None:
    end = socket.socket(fileno=os.dup(0))
    os.close(0)
    address, own = sys.argv[1:]
    ray.init(
        address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False,
        _node_ip_address=own,
    )  # fmt: skip
    asyncio.run(_serve(end, own))


if __name__ == "__main__":
    main()
