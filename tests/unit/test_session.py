"""A browser's session: which cookie is read, and how."""

from __future__ import annotations

import pytest

from llamactl.policy.access.session import session_of

HOST = {b"host": b"127.0.0.1:8080", b"sec-fetch-site": b"same-origin"}


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        (b"llamactl_session_8080=a-_9", "a-_9"),
        (b"x=y; llamactl_session_8080=a;z", "a"),
        (b'other="; llamactl_session_8080=a', "a"),
        (b"llamactl_session_9090=a", ""),
        (b"llamactl_session=a", ""),
        (b"xllamactl_session_8080=a", ""),
        (b"llamactl_session_8080", ""),
        (b";;=;\xff=\xfe", ""),
    ],
)
def test_the_cookie_of_this_port_counts(cookie: bytes, value: str) -> None:
    assert session_of("GET", {**HOST, b"cookie": cookie}) == value


@pytest.mark.timeout(5)  # the standard library's parser takes half a minute for this
def test_a_hostile_cookie_costs_no_more_than_its_length() -> None:
    assert session_of("GET", {**HOST, b"cookie": b'a="' + b"\\" * 60_000 + b'"'}) == ""
