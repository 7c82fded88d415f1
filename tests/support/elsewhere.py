"""Servers whose instances all run on another machine, for suites that know nothing of that.

With LLAMACTL_TEST_ELSEWHERE set, each server that tests start is the head of a cluster with one
more machine, and its own machine is drained. Tests run in the network of the head's machine, so
that they reach it at its loopback address.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from support.clusters import ClusterMachine, init, join
from support.containers import need
from support.machines import Machine, network
from support.waits import until

if TYPE_CHECKING:
    from support.served import Served

ASKED = "LLAMACTL_TEST_ELSEWHERE" in os.environ
_JOINS_S = 120.0  # Ray takes its time
_HEAD, _OTHER = "here", "there"
_machines = ExitStack()  # for as long as this process


@cache
def _both() -> tuple[Machine, Machine]:
    """The head's machine, whose network this process is in from now on, and another one."""
    need("netns", "unshare", "nsenter", "ip", "ps")
    need("pidns", "unshare")
    head, other = _machines.enter_context(network(2))
    atexit.register(_machines.close)
    _machines.enter_context(head.network())
    return head, other


@contextmanager
def another_machine(data_dir: Path) -> Generator[_Other]:
    """For the server with this folder, which is to be started in it."""
    head, other = _both()
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a short path, since sockets are in it
    there = ClusterMachine(_HEAD, head, data_dir)
    if not there.token.exists():
        init(there)
    node = ClusterMachine(_OTHER, other, folder / _OTHER)
    node.data.mkdir()
    try:
        yield _Other(node, there)
    finally:
        node.stop("node", "join")
        shutil.rmtree(folder)


class _Other:
    def __init__(self, node: ClusterMachine, head: ClusterMachine) -> None:
        self._node = node
        self._head = head

    def join(self, server: Served) -> None:
        """Returns when nothing can start on the head's machine."""
        self._head.until_open(self._head.cluster_port)
        join(self._node, self._head)
        with server.client() as client:
            until(
                "another machine", lambda: client.get("/api/v1/nodes").json(),
                lambda rows: [row["state"] for row in rows] == ["here", "up"], within=_JOINS_S,
            )  # fmt: skip
            answer = client.post(f"/api/v1/nodes/{_HEAD}/drain")
            assert answer.status_code == 204, answer.text
