"""Keys and the browser checks."""

from __future__ import annotations

import pytest

from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.policy.access.rules import KeyRing, digest, host_allowed, origin_allowed


def key(expires_at: int | None = None) -> ApiKey:
    mode = PermissionMode.ALLOW_ALL
    return ApiKey("k1", "n", digest("k1.secret"), mode, frozenset(), 0, expires_at)


def test_a_token_must_match_whole() -> None:
    ring = KeyRing(["boss"], [key()])

    assert ring.identify("boss", 0).management  # type: ignore[union-attr]
    assert ring.identify("k1.secret", 0).key == key()  # type: ignore[union-attr]
    for wrong in ("", "k1", "k1.", "k1.secre", "k1.secret ", "k2.secret", "Boss"):
        assert ring.identify(wrong, 0) is None


def test_a_key_ends_at_its_expiry() -> None:
    ring = KeyRing([], [key(expires_at=10)])

    assert ring.identify("k1.secret", 9.9) is not None
    assert ring.identify("k1.secret", 10) is None


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("localhost:8080", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("192.168.1.5:80", True),
        ("[::1]:8080", True),
        ("me.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("evil.example#localhost", False),
        ("", False),
        ("localhost:x", False),
    ],
)
def test_host_allowed(host: str, ok: bool) -> None:
    assert host_allowed(host.encode(), frozenset({"me.example"})) is ok


def test_origin_allowed() -> None:
    assert origin_allowed("http://localhost:1", "http", "localhost:1", frozenset())
    assert not origin_allowed("https://localhost:1", "http", "localhost:1", frozenset())
    assert not origin_allowed("null", "http", "localhost:1", frozenset())
    assert origin_allowed("http://a", "http", "b", frozenset({"http://a"}))
    assert origin_allowed("http://a", "http", "b", frozenset({"*"}))
