"""Links that sign a browser in: each works once and soon, and only so many are kept."""

from __future__ import annotations

from itertools import count

import pytest

from llamactl.policy.access.sign_in_links import LASTS_S, MOST, SignInLinks, is_from_here

KEY = b"digest of a key"
HOST = (b"host", b"127.0.0.1:8080")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def links_at(clock: Clock) -> SignInLinks:
    numbers = count()
    return SignInLinks(lambda: f"token-{next(numbers)}", clock)


def test_one_leads_to_its_key_and_a_guess_to_none() -> None:
    links = links_at(Clock())
    token = links.issue(KEY)

    assert links.use(token[:-1]) is None
    assert links.use("") is None
    assert links.use(token) == KEY


def test_it_works_once() -> None:
    links = links_at(Clock())
    token, other = links.issue(KEY), links.issue(b"another")

    assert links.use(token) == KEY
    assert links.use(token) is None
    assert links.use(other) == b"another"


@pytest.mark.parametrize(("after", "found"), [(LASTS_S - 0.1, KEY), (LASTS_S, None)])
def test_it_expires(after: float, found: bytes | None) -> None:
    clock = Clock()
    links = links_at(clock)
    token = links.issue(KEY)
    clock.now += after

    assert links.use(token) == found


def test_the_oldest_makes_room() -> None:
    links = links_at(Clock())
    tokens = [links.issue(KEY) for _ in range(MOST + 2)]

    assert repr(links) == f"<SignInLinks {MOST}>"
    assert [links.use(token) for token in tokens] == [None, None, *[KEY] * MOST]


def test_those_that_expired_are_forgotten() -> None:
    clock = Clock()
    links = links_at(clock)
    links.issue(KEY)
    clock.now += LASTS_S
    links.issue(KEY)

    assert repr(links) == "<SignInLinks 1>"


def test_no_token_is_kept() -> None:
    links = links_at(Clock())
    token = links.issue(KEY)

    assert token not in str([getattr(links, name) for name in vars(links)])


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", [b"127.0.0.1:8080", b"localhost", b"LOCALHOST:1", b"[::1]:8080", b"a.localhost"]
)
def test_what_is_from_here(address: str, host: bytes) -> None:
    assert is_from_here(address, [(b"host", host), (b"origin", b"http://" + host)])
    assert is_from_here(address, [(b"host", host)])


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "10.0.0.1", "", "unknown"])
def test_another_machine_or_socket_is_not(address: str) -> None:
    assert not is_from_here(address, [HOST])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"models.example.org")],
        [(b"host", b"192.0.2.1:8080")],
        [(b"host", b"localhost.example.org")],
        [(b"host", b"[")],
        [HOST, (b"host", b"models.example.org")],
        [HOST, (b"x-forwarded-for", b"127.0.0.1")],
        [HOST, (b"x-forwarded-proto", b"https")],
        [HOST, (b"forwarded", b"for=127.0.0.1")],
        [HOST, (b"x-real-ip", b"127.0.0.1")],
        [HOST, (b"via", b"1.1 proxy")],
        [HOST, (b"origin", b"https://models.example.org")],
        [HOST, (b"origin", b"null")],
        [HOST, (b"origin", b"http://[")],
    ],
)
def test_what_comes_through_a_proxy_is_not(headers: list[tuple[bytes, bytes]]) -> None:
    assert not is_from_here("127.0.0.1", headers)
