"""What the clients of Docker 20.10 and Podman 4.3 showed on a terminal while they pulled an image
of two layers, 3 and 5 MiB."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.ports.node import PullProgress
from llamactl.node.container.pull_output import PullOutput

RECORDED = Path(__file__).parent.parent / "recorded/pulls"


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("client", ["docker", "podman"])
def test_the_bytes_of_all_parts_are_added_up(client: str, size: int) -> None:
    output, shown = PullOutput(), (RECORDED / client).read_bytes()
    seen = [output.heard(shown[at : at + size]) for at in range(0, len(shown), size)]

    assert seen[-1].done == seen[-1].total and abs(seen[-1].total - (8 << 20)) < 100_000
    assert all(one.done <= one.total for one in seen)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    if size < 4096:
        assert len({one.done for one in seen}) > 10
    assert "Copying" not in output.said and "Downloading" not in output.said
    assert {"docker": "Digest: sha256:", "podman": "Storing signatures"}[client] in output.said


def test_what_is_no_progress_is_what_it_said() -> None:
    output = PullOutput()
    for n in range(5000):
        output.heard(f"line {n}\r\n".encode())
    output.heard(b"\x1b[31mError: no such host\x1b[0m\r\n")

    assert output.said.endswith("\nError: no such host") and len(output.said) <= 4000


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_nothing_that_comes_breaks_it(pieces: list[bytes]) -> None:
    output = PullOutput()
    for piece in pieces:
        now = output.heard(b"a4e6f0c1e948: Downloading [=>" + piece)
        assert 0 <= now.done <= now.total


def test_endless_lines_and_parts_cost_their_bound() -> None:
    output = PullOutput()
    for n in range(3000):
        output.heard(b"%012x: Downloading [=>  ]  1kB/2kB\r" % n)
        output.heard(b"x" * 10_000 + b"\r")

    assert output.heard(b"\r") == PullProgress(1_000_000, 2_000_000)
