"""A link of `llamactl open` signs a browser in, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from support.served import Served, data_folder, serve
from support.terminal import on_terminal
from support.window import Windows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("links"), "")) as served:
        yield served


def link(server: Served) -> str:
    made = server.request("POST", "/api/v1/session/link")
    assert made.status_code == 200, made.text
    path: str = made.json()["path"]
    return path


def token_of(path: str) -> str:
    return path.partition("=")[2]


def signed_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Instances", level=1)).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_it_signs_in_and_leaves_the_address(server: Served, windows: Windows) -> None:
    path = link(server)
    page = windows(server, key="", path=path)

    signed_in(page)
    assert token_of(path) not in page.url
    assert token_of(path) not in str(
        page.evaluate("JSON.stringify([history.state, {...localStorage}, {...sessionStorage}])")
    )
    page.reload()  # by the cookie
    signed_in(page)


def test_the_token_leaves_the_address_before_it_is_sent(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    seen: list[str] = []
    page.on("request", lambda request: seen.append(page.url))
    path = link(server)
    with page.expect_request("**/link/sign-in"):
        page.goto(f"{server.url}/{path}")

    signed_in(page)
    assert seen and not [url for url in seen if token_of(path) in url]


def test_a_second_use_says_so_and_a_key_still_signs_in(server: Served, windows: Windows) -> None:
    path = link(server)
    signed_in(windows(server, key="", path=path))
    page = windows(server, key="", path=path)

    expect(page.get_by_role("alert")).to_contain_text("expired or was already used")
    expect(page.get_by_role("heading", name="Sign in to llamactl")).to_be_visible()
    assert token_of(path) not in page.url
    page.get_by_label("Key", exact=True).fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    signed_in(page)


def test_it_works_in_a_page_that_is_open(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    path = link(server)
    page.goto(f"{server.url}/{path}")

    signed_in(page)
    assert token_of(path) not in page.url
    with page.expect_request("**/link/sign-in"):
        page.goto(f"{server.url}/{path}")  # it was used; the session stays
    failure = page.get_by_role("alert").filter(has_text="The sign-in link did not work")
    expect(failure).to_contain_text("already used")
    signed_in(page)


def test_it_works_in_a_page_that_is_still_asking_who_is_there(
    server: Served, windows: Windows
) -> None:
    page = windows(server, key="")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/session", hold)
    with page.expect_request("**/api/v1/session"):
        page.reload()
    page.goto(f"{server.url}/{link(server)}")

    signed_in(page)
    assert held and page.url == f"{server.url}/#/instances"
    page.unroute_all(behavior="ignoreErrors")


def test_the_file_that_the_browser_gets_leads_there(
    server: Served, windows: Windows, tmp_path: Path
) -> None:
    script, argument = tmp_path / "browser", tmp_path / "argument"
    script.write_text(f'#!/bin/sh\necho "$@" >{argument}\n')
    script.chmod(0o755)
    desktop = {"BROWSER": f"{script} %s", "DISPLAY": ":0", "TMPDIR": str(tmp_path)}
    on_terminal(server, 200, "open", variables=desktop)

    page = windows(server, key="")
    page.goto(argument.read_text().strip())

    signed_in(page)
    assert page.url.startswith(f"{server.url}/#/")
