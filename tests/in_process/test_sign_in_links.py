"""A link signs a browser in, by the API: who may make one, and who may use it."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any, cast

import httpx
import pytest

from llamactl.api import Services, build_api
from llamactl.config import Settings
from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.policy.access.rules import KeyRing, digest
from llamactl.policy.access.sign_in_links import LASTS_S
from support.settings import settings

MAKE, USE, SESSION = "/api/v1/session/link", "/api/v1/session/link/sign-in", "/api/v1/session"
KEY, URL, OURS = "the management key", "http://127.0.0.1:8080", {"Sec-Fetch-Site": "same-origin"}
NO_PROXIES = {
    "another machine": {"address": "192.0.2.1"},
    "another host": {"Host": "models.example.org"},
    "its address": {"Host": "192.0.2.1:8080"},
    "forwarded": {"Forwarded": "for=192.0.2.1"},
    "forwarded for": {"X-Forwarded-For": "127.0.0.1"},
    "another page": {"Origin": "https://models.example.org"},
}


class Store:
    async def add(self, _: object) -> None: ...

    async def forget_expired(self, _: int) -> None: ...


class There:
    """The API of a server, and a clock that the test moves."""

    def __init__(self, server_settings: Settings | None = None) -> None:
        self.now = 0.0
        store = cast(Any, Store())
        self.ring = KeyRing([KEY])
        revocations = Revocations(self.ring, store, store, cast(Any, None))
        sessions = Sessions(self.ring, store, revocations, 3600, lambda: self.now)
        given = {"settings": server_settings or Settings(), "ring": self.ring, "sessions": sessions}
        parts = {field.name: cast(Any, None) for field in fields(Services)}
        self.api = build_api(Services(**{**parts, **given}))

    async def ask(
        self, path: str, body: Any = None, *, method: str = "POST", address: str = "127.0.0.1",
        **headers: str,
    ) -> httpx.Response:  # fmt: skip
        transport = httpx.ASGITransport(self.api, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            return await client.request(method, path, json=body, headers=headers)

    async def make(self, key: str = KEY, **more: str) -> httpx.Response:
        return await self.ask(MAKE, **{"Authorization": f"Bearer {key}", **more})

    async def token(self) -> str:
        made = await self.make()
        assert made.status_code == 200, made.text
        path: str = made.json()["path"]
        return path.removeprefix("#/sign-in?token=")

    async def use(self, token: str, **more: str) -> httpx.Response:
        return await self.ask(USE, {"token": token}, **{"Origin": URL, **more})


async def test_it_signs_in_as_the_key_does() -> None:
    there = There()
    token = await there.token()
    assert len(token) >= 43  # 256 bits

    used = await there.use(token)
    by_key = await there.ask(SESSION, {"key": KEY})

    assert used.status_code == 200
    assert used.json() == by_key.json()
    ours, theirs = (answer.headers["set-cookie"] for answer in (used, by_key))
    assert ours.partition(";")[2] == theirs.partition(";")[2]
    cookie = ours.partition(";")[0]
    who = await there.ask(SESSION, method="GET", Cookie=cookie, **OURS)
    assert who.json()["management"] is True


async def test_its_token_is_in_no_log_and_no_cache(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    there = There()
    made = await there.make()
    token = made.json()["path"].partition("=")[2]
    used = [await there.use(token), await there.use(token)]

    assert [answer.status_code for answer in used] == [200, 401]
    assert "sign_in_refused" in caplog.text and token not in caplog.text
    assert made.headers["cache-control"] == used[0].headers["cache-control"] == "no-store"


async def test_it_works_once() -> None:
    there = There()
    token = await there.token()
    answers = await asyncio.gather(*(there.use(token) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]
    again = await there.use(token)
    assert "set-cookie" not in again.headers
    assert "already used" in again.json()["error"]


@pytest.mark.parametrize(("after", "status"), [(LASTS_S - 1, 200), (LASTS_S, 401)])
async def test_it_expires(after: float, status: int) -> None:
    there = There()
    token = await there.token()
    there.now += after

    assert (await there.use(token)).status_code == status


@pytest.mark.parametrize("how", NO_PROXIES)
async def test_it_is_made_and_used_here_only(how: str) -> None:
    there = There()
    token = await there.token()

    for refused in (await there.make(**NO_PROXIES[how]), await there.use(token, **NO_PROXIES[how])):
        assert (refused.status_code, refused.json()["code"]) == (403, "not_local")
        assert "set-cookie" not in refused.headers
    assert (await there.use(token)).status_code == 200


async def test_a_wrong_one_counts_as_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    there = There()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    answers = [
        await there.use("a guess"),
        await there.ask(SESSION, {"key": "a guess"}),
        await there.use("a guess"),
        await there.use("a guess", **NO_PROXIES["forwarded for"]),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 403]
    assert waits == [waits[0] * 2**n for n in range(4)]


async def test_who_guesses_from_elsewhere_is_heard_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    there, held = There(), asyncio.Event()

    async def sleep(_: float) -> None:
        await held.wait()

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def guess(address: str) -> int:
        return (await there.use("a guess", address=address)).status_code

    guesses = [asyncio.ensure_future(guess("192.0.2.1")) for _ in range(6)]
    done = asyncio.as_completed(guesses)
    assert [await next(done) for _ in range(2)] == [429, 429]  # the others wait
    held.set()

    assert sorted(await asyncio.gather(*guesses)) == [403] * 4 + [429] * 2


def _inference_key(there: There) -> str:
    token = "id.secret"
    mode = PermissionMode.ALLOW_ALL
    there.ring.add(ApiKey("id", "one", digest(token), mode, frozenset(), created_at=0))
    return token


async def test_it_needs_a_management_key_in_a_header() -> None:
    there = There()
    signed_in = await there.use(await there.token())
    cookie = signed_in.headers["set-cookie"].partition(";")[0]

    by_session = await there.ask(MAKE, Cookie=cookie, Origin=URL, **OURS)
    assert (by_session.status_code, by_session.json()["code"]) == (403, "forbidden")
    assert (await there.ask(MAKE)).status_code == 401
    assert (await there.make("wrong")).status_code == 401
    assert (await there.make(_inference_key(there))).status_code == 403
    by_other_header = await there.ask(MAKE, **{"X-API-Key": KEY})
    assert by_other_header.json()["path"].startswith("#/sign-in?token=")


async def test_it_ends_with_its_key() -> None:
    there = There()
    token = await there.token()
    there.ring.replace([digest("another key")], [])

    assert (await there.use(token)).status_code == 401


async def test_its_session_ends_with_its_key() -> None:
    there = There()
    cookie = (await there.use(await there.token())).headers["set-cookie"].partition(";")[0]

    async def status() -> int:
        return (await there.ask(SESSION, method="GET", Cookie=cookie, **OURS)).status_code

    assert await status() == 200
    there.ring.replace([digest("another key")], [])
    assert await status() == 401


async def test_no_link_is_needed_where_no_key_is() -> None:
    there = There(settings("auth", require_management_auth=False))

    assert (await there.ask(MAKE)).json() == {"path": "", "lasts_s": None}


async def test_over_https_the_cookie_is_for_https() -> None:
    there = There()
    secure = {"Host": "localhost:8443", "Origin": "https://localhost:8443"}

    used = await there.use(await there.token(), **secure)

    assert "Secure" in used.headers["set-cookie"]


async def test_a_form_of_another_page_can_not_send_it() -> None:
    there = There()
    transport = httpx.ASGITransport(there.api, client=("127.0.0.1", 1234))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        body = f'{{"token": "{await there.token()}"}}'
        sent = await client.post(USE, content=body, headers={"Content-Type": "text/plain"})

    assert sent.status_code == 400
