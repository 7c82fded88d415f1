"""How the page comes: its policy, what may be kept, its size, what it asks of other hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from support.prefix import below
from support.served import Served
from support.window import Windows, sign_in

SMALL = 1000  # bytes, of files that are not worth packing
BUDGET = 250_000  # bytes of compressed JavaScript before the first page can be used


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Served]:
    yield served


def test_no_script_or_style_of_others_is_let_in(server: Served) -> None:
    page = server.request("GET", "/", key="")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    nonce = re.search(r"'nonce-([\w-]{16,})'", policy["style-src"])
    assert nonce and nonce[1] in page.text
    assert (
        server.request("GET", "/", key="").headers["content-security-policy"]
        != (page.headers["content-security-policy"])
    ), "a nonce counts once"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_the_page_is_asked_for_anew_and_its_parts_are_kept(server: Served) -> None:
    page = server.request("GET", "/", key="")
    parts = re.findall(r'(?:src|href)="\.?/?(assets/[^"]+)"', page.text)

    assert "no-" in page.headers["cache-control"]
    assert {'lang="en"', 'name="viewport"', 'name="description"'} <= set(
        re.findall(r'lang="en"|name="viewport"|name="description"', page.text)
    )
    assert len(parts) >= 2
    for part in parts:
        asset = server.request("GET", f"/{part}", key="", headers={"accept-encoding": "br"})
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]
        if len(asset.content) > SMALL and part.endswith((".js", ".css")):
            assert asset.headers["content-encoding"] == "br"
            assert "accept-encoding" in asset.headers["vary"].lower()


def test_first_load_stays_within_its_budget(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.reload()
    sign_in(page, server.key)
    expect(page.get_by_role("heading", name="No instances yet")).to_be_visible()

    hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
    assert hosts == {server.url.removeprefix("http://")}
    scripts = {url for url in asked if urlsplit(url).path.endswith(".js")}
    sizes = {url: _sent(url) for url in scripts}
    assert 0 < sum(sizes.values()) <= BUDGET, sizes


def _sent(url: str) -> int:
    """Bytes on the wire, to a browser that knows gzip alone: the larger of the two codings."""
    with (
        httpx.Client() as client,
        client.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer,
    ):
        return len(b"".join(answer.iter_raw()))


def test_it_works_below_a_path_of_a_proxy(server: Served, windows: Windows) -> None:
    with below("/models/here", server.url) as address:
        page = windows(replace(server, url=address))
        expect(page.get_by_role("heading", name="No instances yet")).to_be_visible()
        page.get_by_role("link", name="System").click()
        expect(page.get_by_role("heading", name="Effective settings")).to_be_visible()
        assert page.url.startswith(f"{address}/#/")
