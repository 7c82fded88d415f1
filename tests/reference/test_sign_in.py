"""A browser signs in with a key; its cookie counts for the management API and our chat alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.engines import Engine
from support.served import Served, data_folder, serve

pytestmark = pytest.mark.both_engines

API = "/api/v1/instances"
SESSION = "/api/v1/session"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, engine: Engine
) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("signed")) as served:
        body = {"model": str(tiny_model), "ctx_size": 256}
        for name in ("tiny", "other"):
            made = served.request("POST", f"{API}/{name}?start=false", body)
            assert made.status_code == 201, made.text
        yield served


class Browser:
    """What a browser sends, from our own page unless told otherwise."""

    def __init__(self, server: Served, *, key: str = "") -> None:
        self.cookies = httpx.Cookies()
        self.url = server.url
        self.signed_in = self("POST", SESSION, {"key": key or server.key})

    def __call__(
        self, method: str, path: str, body: Any = None, *, site: str = "same-origin", **more: str
    ) -> httpx.Response:
        headers = {"Sec-Fetch-Site": site, **more}
        if method != "GET":
            headers.setdefault("Origin", self.url)
        return self.send(method, path, body, headers)

    def send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        with httpx.Client(base_url=self.url, cookies=self.cookies, timeout=60) as client:
            answer = client.request(method, path, json=body, headers=headers)
            self.cookies = client.cookies
        return answer


def test_the_cookie_can_be_read_by_no_script_and_sent_by_no_other_site(server: Served) -> None:
    browser = Browser(server)

    cookie = browser.signed_in.headers["set-cookie"]
    port = server.url.rpartition(":")[2]
    assert browser.signed_in.json()["management"] is True
    assert cookie.startswith(f"llamactl_session_{port}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # over plain HTTP it would never come back
    assert server.key not in cookie


def test_it_counts_for_the_management_api(server: Served) -> None:
    browser = Browser(server)

    assert browser("GET", API).status_code == 200
    assert browser("POST", f"{API}/tiny/plan").status_code == 200
    assert browser("GET", SESSION).json()["management"] is True


def test_it_says_which_key_it_is_and_not_the_key(server: Served) -> None:
    made = server.request(
        "POST", "/api/v1/auth/keys", {"name": "laptop", "permission_mode": "allow_all"}
    ).json()
    ids = [Browser(server).signed_in.json()["key_id"] for _ in range(2)]
    other = Browser(server, key=made["key"]).signed_in.json()["key_id"]

    assert ids[0] == ids[1] != other
    assert ids[0] and ids[0] not in server.key
    assert other == made["id"]


def test_a_wrong_key_signs_nobody_in(server: Served) -> None:
    browser = Browser(server, key="wrong")

    assert browser.signed_in.status_code == 401
    assert "set-cookie" not in browser.signed_in.headers
    assert browser("GET", SESSION).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/upstream/tiny/health",
        "/llama-cpp/tiny/health",
        f"{API}/tiny/proxy/health",
        "/metrics",
        "/api/tags",
        "/running",
    ],
)
def test_it_counts_nowhere_where_engines_or_other_apis_answer(server: Served, path: str) -> None:
    assert Browser(server)("GET", path).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_program_of_this_machine_can_not_use_it(server: Served, site: str) -> None:
    """Sites know no ports: the cookie of 127.0.0.1:8080 goes to 127.0.0.1:3000 too."""
    browser = Browser(server)
    other = "http://127.0.0.1:3000"

    for headers in ({}, {"Origin": other}):
        asked = browser("POST", f"{API}/tiny/start", site=site, **headers)
        assert asked.status_code in (401, 403)
    assert browser("GET", API, site=site).status_code in (401, 403)
    assert server.instance("tiny")["status"] == "stopped"


def test_an_older_browser_says_where_it_comes_from_by_origin_alone(server: Served) -> None:
    browser = Browser(server)

    def ask(**headers: str) -> int:
        return browser.send("POST", f"{API}/tiny/plan", None, headers).status_code

    assert ask(Origin=server.url) == 200
    assert ask() == 401  # nothing says that it is our page
    assert ask(Origin="http://127.0.0.1:1") == 403


def test_signing_out_ends_it_wherever_the_cookie_is(server: Served) -> None:
    browser = Browser(server)
    kept = dict(browser.cookies)

    assert browser("DELETE", SESSION).status_code == 204
    assert dict(browser.cookies) == {}
    browser.cookies.update(kept)
    assert browser("GET", API).status_code == 401


def test_it_outlives_a_restart_and_ends_with_its_key(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as first:
        made = first.request("POST", "/api/v1/auth/keys", {"name": "phone"}).json()
        boss, guest = Browser(first), Browser(first, key=made["key"])
        assert guest.signed_in.json() | {"management": False, "key_name": "phone"} == (
            guest.signed_in.json()
        )
    port = int(first.url.rpartition(":")[2])
    with serve(data, port=port) as second:
        for browser, status in ((boss, 200), (guest, 403)):
            assert browser("GET", API).status_code == status
            assert browser("GET", SESSION).status_code == 200
        second.request("DELETE", f"/api/v1/auth/keys/{made['id']}")
        assert guest("GET", SESSION).status_code == 401
        (data / "management_key").write_text("another-one\n")
    with serve(data, port=port):
        assert boss("GET", SESSION).status_code == 401


def test_an_inference_key_signs_in_to_the_chat_alone(server: Served) -> None:
    body = {"name": "one", "permission_mode": "per_instance", "instances": ["tiny"]}
    browser = Browser(server, key=server.request("POST", "/api/v1/auth/keys", body).json()["key"])

    assert browser("GET", API).status_code == 403
    listed = browser("GET", "/api/v1/chat/models").json()
    assert [row["name"] for row in listed] == ["tiny"]
    chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    answer = browser("POST", "/api/v1/chat/completions", {"model": "tiny", **chat})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"]
    refused = browser("POST", "/api/v1/chat/completions", {"model": "other", **chat})
    assert refused.status_code == 403


def test_the_chat_tells_who_waits_how_it_goes(server: Served) -> None:
    server.request("POST", f"{API}/tiny/stop?wait=true")
    browser = Browser(server)
    chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": True}

    answer = browser("POST", "/api/v1/chat/completions", {"model": "tiny", **chat})

    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_without_auth_nobody_signs_in(tmp_path: Path) -> None:
    off = {"LLAMACTL_REQUIRE_MANAGEMENT_AUTH": "false", "LLAMACTL_REQUIRE_INFERENCE_AUTH": "false"}
    with (
        serve(data_folder(tmp_path, ""), off) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        who = client.get(SESSION).json()

        assert (who["management"], who["expires_at"]) == (True, None)
        assert client.get("/api/v1/chat/models").json() == []


def open_page(server: Served, name: str) -> str:
    asked = server.request("POST", f"{API}/{name}/page")
    assert asked.status_code == 200, asked.text
    path: str = asked.json()["path"]
    return path


def test_an_engines_page_has_no_origin_and_can_not_act_as_the_user(server: Served) -> None:
    server.request("POST", f"{API}/tiny/start?wait=true")
    path = open_page(server, "tiny")
    browser = Browser(server)

    answer = browser("GET", f"/{path}health")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    # what runs in it comes from no origin: it may use its engine, and nothing of ours
    body = {"prompt": "a", "max_tokens": 1}
    inside = browser("POST", f"/{path}v1/completions", body, site="cross-site", Origin="null")
    assert inside.status_code == 200, inside.text
    assert inside.headers["access-control-allow-origin"] == "*"
    asks = {"Origin": "null", "Access-Control-Request-Method": "POST"}
    assert browser("OPTIONS", f"/{path}v1/completions", site="cross-site", **asks).is_success
    for outside in (API, "/api/v1/chat/completions", SESSION):
        assert browser("POST", outside, {}, site="cross-site", Origin="null").status_code == 403


def test_a_ticket_is_for_one_instance_and_ends_with_it(server: Served, tiny_model: Path) -> None:
    server.request("POST", f"{API}/brief", {"model": str(tiny_model), "ctx_size": 256})
    path = open_page(server, "brief")
    with httpx.Client(base_url=server.url) as client:
        assert client.get(f"/{path}health").status_code == 200
        assert client.get(f"/{path[:-2]}x/health").status_code == 404
        server.request("DELETE", f"{API}/brief")
        server.request("POST", f"{API}/brief?start=false", {"model": str(tiny_model)})
        assert client.get(f"/{path}health").status_code == 404
        server.request("DELETE", f"{API}/brief")
    assert re.fullmatch(r"page/[\w-]{43}/", path)


def test_a_page_that_an_engine_serves_elsewhere_has_no_origin_either(server: Served) -> None:
    server.request("POST", f"{API}/tiny/start?wait=true")
    opened = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
    for path in ("/upstream/tiny/health", "/v1/models"):
        answer = server.request("GET", path, headers=opened)
        assert answer.headers["content-security-policy"].startswith("sandbox ")
    assert "content-security-policy" not in server.request("GET", "/v1/models").headers
