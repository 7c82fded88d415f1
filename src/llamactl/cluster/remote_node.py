"""A node at the other end of a line."""

from __future__ import annotations

from pathlib import Path

from llamactl.cluster.calling import Caller, Calling, posted, remote, remote_stream
from llamactl.cluster.line import Line
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import Node


class RemoteNode(Caller):
    """A `core.ports.node.Node`: what it is asked becomes messages."""

    def __init__(self, node_id: str, address: str, line: Line) -> None:
        super().__init__(Calling(line))
        self.id = node_id
        self.address = address

    def __repr__(self) -> str:
        return f"<RemoteNode {self.id} at {self.address}>"

    missing_image = remote(Node.missing_image)
    pull = remote_stream(Node.pull)
    read_ahead = remote_stream(Node.read_ahead)
    prepare = remote(Node.prepare)
    release = remote(Node.release)
    adopt = remote(Node.adopt)
    terminate = remote(Node.terminate)
    kill = posted(Node.kill)
    wait_exit = remote(Node.wait_exit)
    until_ready = remote(Node.until_ready)
    is_healthy = remote(Node.is_healthy)
    sleep = remote(Node.sleep)
    wake = remote(Node.wake)
    is_asleep = remote(Node.is_asleep)
    warm_up = remote(Node.warm_up)
    save_context = remote(Node.save_context)
    restore_context = remote(Node.restore_context)
    context_used = remote(Node.context_used)
    unused_contexts = remote(Node.unused_contexts)
    contexts = remote(Node.contexts)
    drop_contexts = remote(Node.drop_contexts)
    measure = remote(Node.measure)
    prepared = remote(Node.prepared)
    end = remote(Node.end)
    permit = remote(Node.permit)
    replaced = remote(Node.replaced)
    command_of = remote(Node.command_of)
    obstacle = remote(Node.obstacle)
    offer = remote(Node.offer)
    forget = remote(Node.forget)

    def log(self, name: str) -> LogFile:
        return RemoteLog(self.calling, name)


class RemoteLog(Caller):
    """A `core.ports.engines.LogFile` there, which its node tends."""

    @property
    def path(self) -> Path:
        """Its name: the file is on another machine."""
        return Path(f"{self._log}.log")

    def tend(self) -> None:
        pass

    close = posted(LogFile.close)
    forget_archives = posted(LogFile.forget_archives)
    span = remote(LogFile.span)
    stream = remote_stream(LogFile.stream)
    follow = remote_stream(LogFile.follow)
