"""What the overview shows of a server, and which commands it proposes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llamactl.cli.guide.overview import ServerState, _instances, _next


def seen(health: str = "ok", **statuses: str) -> ServerState:
    rows: Any = [
        SimpleNamespace(name=name, status=status, replica_of="")
        for name, status in statuses.items()
    ]
    asked: Any = SimpleNamespace(status=health)
    about: Any = None
    return ServerState("http://127.0.0.1:1", asked, about, rows)


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (seen(), ["llamactl run MODEL", "llamactl create NAME model=FILE"]),
        (seen(a="stopped", b="running"), ["llamactl run b", "llamactl top"]),
        (seen(b="stopped", a="asleep"), ["llamactl run a", "llamactl top"]),
        (seen(a="running", b="failed"), ["llamactl show b", "llamactl logs b"]),
        (seen("degraded", a="running"), ["llamactl doctor", "llamactl run a", "llamactl top"]),
    ],
)
def test_what_to_do_next_depends_on_what_there_is(state: ServerState, commands: list[str]) -> None:
    assert [command for command, _ in _next(state)] == commands


def test_what_failed_comes_first_and_many_are_not_listed() -> None:
    lines = [*_instances(seen(**{f"i{n}": "stopped" for n in range(9)}, z="failed").rows)]

    assert lines[0] == "  z   failed"
    assert lines[-1] == "  and 2 more; see `llamactl ps`"
    assert len(lines) == 9
