"""Browsers, engines' own pages, keys in a path: each gets as far as it may, and no further."""

from __future__ import annotations

import time

import pytest

from llamactl.core.keys import ANYONE, Caller, Session
from llamactl.core.model import ModelInfo, Offer
from llamactl.policy.access.rules import digest
from support.control_path import settle
from support.data_path import CHAT, MANAGER, DataPath, data_path
from support.settings import settings

OWN_CHAT, OWN_MODELS = "/api/v1/chat/completions", "/api/v1/chat/models"
OURS = ("Sec-Fetch-Site: same-origin", "Origin: http://localhost")


def sign_in(there: DataPath, *, key_id: str = "", key: str = MANAGER, seconds: int = 1000) -> str:
    """What its browser sends from then on."""
    value = f"session of {key_id}".replace(" ", "-")
    until = int(time.time()) + seconds
    there.ring.sessions.add(Session(digest(value), key_id, digest(key), until))
    return f"Cookie: other=1; llamactl_session={value}; more=2"


def ticket(there: DataPath, name: str = "one", holder: Caller = ANYONE) -> str:
    instance = there.control.registry.get(name).instance
    return there.tickets.issue(instance.id, name, holder, time.monotonic())


# Sessions.


async def test_a_session_chats_and_manages_but_is_no_key_for_engines() -> None:
    async with data_path() as there:
        await there.control.create("one")
        lines = (sign_in(there), *OURS)

        chat = await there.ask("POST", OWN_CHAT, {"model": "one"}, key="", headers=lines)
        assert chat.json == {"served": f"POST {CHAT}"}
        managed = await there.ask("POST", "/api/v1/x", {}, key="", headers=lines)
        assert managed.json == {"managed": "/api/v1/x"}
        for path in (CHAT, "/upstream/one/x"):
            answer = await there.ask("POST", path, {"model": "one"}, key="", headers=lines)
            assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "lines", "status"),
    [("GET", (), 200), ("GET", ("Sec-Fetch-Site: none",), 200),
     ("GET", ("Sec-Fetch-Site: same-site",), 403), ("POST", ("Sec-Fetch-Site: same-origin",), 200),
     ("POST", (), 401), ("POST", ("Sec-Fetch-Site: none",), 401),
     ("POST", ("Origin: http://localhost",), 200), ("POST", ("Origin: http://other",), 403)],
)  # fmt: skip
async def test_a_session_counts_only_from_our_own_page(
    method: str, lines: tuple[str, ...], status: int
) -> None:
    async with data_path() as there:
        headers = (sign_in(there), *lines)
        answer = await there.ask(method, "/api/v1/x", None, key="", headers=headers)
        assert answer.status == status


@pytest.mark.parametrize("how", ["expires", "is signed out", "loses its key", "is of another"])
async def test_a_session_that_is_over_is_none(how: str) -> None:
    async with data_path() as there:
        key = there.add_key("known")
        cookie = sign_in(there, key_id="known", key=key, seconds=0 if how == "expires" else 1000)
        if how == "is signed out":
            there.ring.sessions.remove(digest("session-of-known"))
        elif how == "loses its key":
            there.ring.remove("known")
        elif how == "is of another":
            cookie = cookie.replace("session-of-known", "session-of-nobody")
        await there.control.create("one")
        answer = await there.ask(
            "POST", OWN_CHAT, {"model": "one"}, key="", headers=(cookie, *OURS)
        )

        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert there.engine.seen == []


async def test_on_a_connection_that_is_kept_a_session_ends_at_once() -> None:
    async with data_path() as there:
        await there.control.create("one")
        lines, client = (sign_in(there), *OURS), there.connect()
        for expected in (200, 401):
            client.ask("POST", OWN_CHAT, {"model": "one"}, headers=lines)
            assert (await client.answer()).status == expected
            there.ring.sessions.remove(digest("session-of-"))


async def test_a_session_of_an_inference_key_chats_with_its_instances_and_manages_nothing() -> None:
    async with data_path() as there:
        await there.control.create("mine")
        await there.control.create("other")
        lines = (sign_in(there, key_id="known", key=there.add_key("known", "mine")), *OURS)

        async def status(path: str, model: str = "mine") -> int:
            answer = await there.ask("POST", path, {"model": model}, key="", headers=lines)
            return answer.status

        assert [await status(OWN_CHAT), await status(OWN_CHAT, "other")] == [200, 403]
        assert await status("/api/v1/x") == 403
        listed = await there.ask("GET", OWN_MODELS, key="", headers=lines)
        assert [row["name"] for row in listed.json] == ["mine"]


async def test_the_page_hears_which_models_it_can_chat_with() -> None:
    async with data_path() as there:
        info = ModelInfo(capabilities=("vision",), sampling=(("temperature", 0.8), ("top_k", 40)))
        there.control.node.says = Offer(info)
        defaults = {"top_k": 7, "x": "y"}
        await there.control.create("sees", default_params=defaults, set_params={"min_p": 0.1})
        await there.control.create("off", start=False)
        await settle()
        answer = await there.ask("GET", OWN_MODELS)

        off, sees = answer.json
        assert [off[name] for name in ("name", "ready", "sees_images")] == ["off", False, False]
        assert [sees[name] for name in ("name", "ready", "sees_images")] == ["sees", True, True]
        assert sees["backend"] == "llama_cpp"
        assert sees["sampling"] == {
            "temperature": {"value": 0.8, "by": "engine"},
            "top_k": {"value": 7, "by": "default"},
            "min_p": {"value": 0.1, "by": "set"},
        }
        assert answer.headers["cache-control"] == "no-store"
        wrong = [("GET", OWN_CHAT), ("POST", OWN_MODELS), ("PUT", "/v1/models")]
        for method, path in wrong:
            refused = await there.ask(method, path, {} if method != "GET" else None)
            assert (refused.status, refused.json["code"]) == (405, "method_not_allowed")


# Where a page comes from.


@pytest.mark.parametrize(
    ("method", "path", "lines", "status"),
    [("GET", "/", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"), 200),
     ("GET", "/", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), 403),
     ("POST", "/", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"), 403),
     ("GET", "/upstream/one/x", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"), 403),
     ("GET", "/upstream/one/x", ("Sec-Fetch-Site: same-origin",), 200)],
)  # fmt: skip
async def test_a_link_leads_to_our_page_and_nothing_foreign_leads_to_an_engine(
    method: str, path: str, lines: tuple[str, ...], status: int
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        assert (await there.ask(method, path, headers=lines)).status == status


@pytest.mark.parametrize("origins", [["https://good.example"], ["*"]])
async def test_a_configured_origin_is_let_ask_beforehand(origins: list[str]) -> None:
    given = settings("server", allowed_origins=origins)
    async with data_path(given) as there:
        lines = ("Origin: https://good.example", "Access-Control-Request-Method: POST")
        answer = await there.ask("OPTIONS", CHAT, key="", headers=lines)

        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] in ("*", "https://good.example")
        assert (there.engine.seen, there.managed) == ([], [])


async def test_the_refusal_of_a_configured_origin_can_be_read_by_it() -> None:
    given = settings("server", allowed_origins=["https://good.example"])
    async with data_path(given) as there:
        line = ("Origin: https://good.example",)
        for path in ("/api/v1/x", "/nowhere"):
            answer = await there.ask("GET", path, key="", headers=line)
            assert answer.status in (401, 404)
            assert answer.headers["access-control-allow-origin"] == "https://good.example"


# An engine's own page.


async def test_an_engines_page_is_served_without_an_origin_and_without_a_key() -> None:
    async with data_path() as there:
        await there.control.create("one")
        page = f"/page/{ticket(there)}"
        lines = ("Sec-Fetch-Dest: document", "Host: localhost")
        answer = await there.ask("GET", f"{page}/index.html?x=1", key="", headers=lines)

        assert answer.status == 200
        assert there.engine.seen[0].line == "GET /index.html?x=1"
        assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in answer.headers["content-security-policy"]
        assert answer.headers["access-control-allow-origin"] == "*"
        assert (await there.ask("GET", page, key="")).status == 200
        assert there.engine.seen[1].line == "GET /"


async def test_a_page_may_post_to_its_engine_after_asking() -> None:
    async with data_path() as there:
        await there.control.create("one")
        path = f"/page/{ticket(there)}/completion"
        asks = ("Origin: null", "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: content-type, x-mine")  # fmt: skip
        allowed = await there.ask("OPTIONS", path, key="", headers=asks)
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "*")
        assert allowed.headers["access-control-allow-headers"] == "content-type, x-mine"
        assert there.engine.seen == []

        posted = await there.ask("POST", path, {"a": 1}, key="", headers=("Origin: null",))
        assert (posted.status, there.engine.seen[0].json) == (200, {"a": 1})


@pytest.mark.parametrize("how", ["is made up", "is of a revoked key", "is of what was deleted",
                                 "is of another by that name"])  # fmt: skip
async def test_a_ticket_that_is_over_opens_nothing(how: str) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.add_key("known")
        holder = Caller(management=False, key=there.ring.get("known"))
        path = f"/page/{ticket(there, holder=holder)}/"
        assert (await there.ask("GET", path, key="")).status == 200
        if how == "is made up":
            path = f"/page/{'x' * 43}/"
        elif how == "is of a revoked key":
            there.ring.remove("known")
        else:
            await there.control.definitions.delete("one", force=True)
        if how == "is of another by that name":
            await there.control.create("one")
        answer = await there.ask("GET", path, key="")

        assert (answer.status, answer.json["code"]) == (404, "not_found")
        assert len(there.engine.seen) == 1


async def test_a_page_of_what_is_off_starts_nothing() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False)
        answer = await there.ask("GET", f"/page/{ticket(there)}/", key="")

        assert (answer.status, answer.json["code"]) == (503, "not_running")
        assert there.control.state("one") == "stopped"


# A key in the path.


async def test_a_key_in_the_path_counts_for_v1_and_nobody_sees_it_again() -> None:
    async with data_path() as there:
        await there.control.create("one")
        key = there.add_key("known")
        answer = await there.ask("POST", f"/k/{key}{CHAT}", {"model": "one"}, key="")

        assert answer.json == {"served": f"POST {CHAT}"}
        assert key not in str(there.engine.seen[0].headers)


@pytest.mark.parametrize(
    ("key", "path", "lines", "status"),
    [("known.secret", "/upstream/one/x", (), 404), ("known.secret", "/api/v1/x", (), 404),
     ("known.secret", CHAT, ("Sec-Fetch-Site: none",), 403),
     ("known.secret", CHAT, ("Origin: http://localhost",), 403),
     ("wrong", CHAT, (), 401), (MANAGER, CHAT, (), 401)],
)  # fmt: skip
async def test_a_key_in_the_path_may_little(
    key: str, path: str, lines: tuple[str, ...], status: int
) -> None:
    async with data_path() as there:
        await there.control.create("one")
        there.add_key("known")
        answer = await there.ask("POST", f"/k/{key}{path}", {"model": "one"}, key="", headers=lines)

        assert answer.status == status and key not in answer.body.decode()
        assert (there.engine.seen, there.managed) == ([], [])
