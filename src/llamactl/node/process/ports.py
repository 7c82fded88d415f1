"""Loopback ports: which are free, and who listens on one."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Iterator, Set
from contextlib import suppress
from pathlib import Path

from llamactl.core.errors import Conflict
from llamactl.core.ports.node import PortChoice

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"
# As the kernel writes addresses: https://man7.org/linux/man-pages/man5/proc_net.5.html
_AT_LOOPBACK = {
    "0100007F", "00000000",  # 127.0.0.1, 0.0.0.0
    f"{'0' * 24}01000000", "0" * 32,  # ::1, ::
    f"{'0' * 16}FFFF00000100007F", f"{'0' * 16}FFFF0000{'0' * 8}",  # those of IPv4
}  # fmt: skip


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Would a server get this port now, there and at loopback? TIME_WAIT counts as free."""
    return all(_is_free_at(one, port) for one in {LOOPBACK, address})


def _is_free_at(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def keep_alive(one: socket.socket) -> None:
    """Notice within a minute that the other machine is gone, without a word."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if (option := getattr(socket, name, None)) is not None:
            one.setsockopt(socket.IPPROTO_TCP, option, value)


def pick(low: int, high: int, taken: Collection[int], address: str = LOOPBACK) -> int:
    """The first free port of the range. Raises Conflict when there is none."""
    for port in range(low, high + 1):
        if port not in taken and is_free(port, address):
            return port
    raise Conflict(f"no port is free in instances.port_range [{low}, {high}]; widen the range")


def choose(choice: PortChoice, taken: Set[int], address: str = LOOPBACK) -> int:
    """`taken`: by processes of this node. `address`: where it is to be free besides loopback.

    Raises Conflict when no port is free.
    """
    if choice.fixed is not None:
        return choice.fixed
    taken = choice.taken | taken
    if (own := choice.preferred) is not None and own not in taken and is_free(own, address):
        return own
    return pick(choice.low, choice.high, taken, address)


def listens_on(port: int, pids: Iterable[int] | None) -> bool:
    """Does one of these processes own the listening socket? True if unknown.

    None: they can't be seen, so a process that can be seen is another's.
    """
    inode = _listener(port)
    if inode is None:
        return not Path("/proc/net/tcp").exists()
    wanted = f"socket:[{inode}]"
    if pids is None:
        return owner_of(port) == 0
    return any(_holds(pid, wanted) for pid in pids)


def owner_of(port: int) -> int | None:
    """The pid of the process that listens on it; 0 if we can't see it, None if there is none."""
    inode = _listener(port)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return next((pid for pid in pids if _holds(pid, wanted)), 0)


def _listener(port: int) -> str | None:
    """The inode of the socket at loopback. The same port elsewhere may be a gate's."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            address, _, its_port = fields[1].partition(":")
            if fields[3] == _LISTEN and address in _AT_LOOPBACK and int(its_port, 16) == port:
                return fields[9]
    return None


def descendants(pid: int) -> Iterator[int]:
    """Of a process, and itself. Of a container's first process: all that are in it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text(encoding="ascii").split():
                yield from descendants(int(child))


def members(session: int) -> Iterator[int]:
    """Pids of all processes of a session."""
    yield session
    for name in os.listdir("/proc"):  # noqa: PTH208  names are enough
        if name.isdigit() and int(name) != session:
            with suppress(OSError):
                if os.getsid(int(name)) == session:
                    yield int(name)


def _holds(pid: int, wanted: str) -> bool:
    with suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(fd.readlink()) == wanted:
                    return True
    return False
