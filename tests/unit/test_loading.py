"""Whether a client waits for events is read from its body in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from llamactl.policy.body.json_scanner import ObjectScanner
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.turns import SLICE, Turns
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.loading import wants_stream
from llamactl.proxy.relay.spool import Spool, SpoolLimits

HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"


class Nobody:
    owner: str | None = None
    origin = ""

    def hold(self, size: int) -> None: ...

    def release(self, size: int) -> None: ...


def asked(
    content: bytes, tmp_path: Path, turn: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> bool:
    body = Body(Spool(tmp_path, SpoolLimits()), 1 << 20, Nobody())
    body.keep(content)
    request = Request(RequestHead(HEAD), len(content), content, complete=True)
    return asyncio.run(wants_stream(request, body, turn or Turns().turn))


@pytest.mark.parametrize(
    ("content", "wants"),
    [
        (b'{"stream": true}', True),
        (b'{"stream": false}', False),
        (b'{"stream": true, "stream": true}', False),
        (b'{"a": {"stream": true}}', False),
        (b'{"a": [' + b"{}," * 200_000 + b'1], "stream": true}', True),
        (b"not JSON", False),
    ],
)
def test_it_is_what_the_body_says(content: bytes, wants: bool, tmp_path: Path) -> None:
    assert asked(content, tmp_path) == wants


def test_a_large_body_is_read_in_parts_one_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, sizes, taken = Turns(), list[int](), list[int]()
    feed = ObjectScanner.feed

    def fed(scanner: ObjectScanner, data: bytes) -> None:
        sizes.append(len(data))
        feed(scanner, data)

    async def counted() -> None:
        taken.append(len(sizes))
        await turns.turn()

    monkeypatch.setattr(ObjectScanner, "feed", fed)
    assert asked(b'{"a": [' + b"{}," * 200_000 + b'1], "stream": true}', tmp_path, counted)

    assert max(sizes) <= SLICE
    assert taken == list(range(len(sizes)))


def test_of_many_members_of_that_name_the_first_two_tell(tmp_path: Path) -> None:
    assert not asked(b'{"a": 1' + b', "\\u0073tream": true' * 40_000 + b"}", tmp_path)
