"""Keys are made and revoked on the page; who signs in with one sees what it allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.waits import until
from support.window import Windows, go


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("keys")
    with serve(data_folder(folder, "{}")) as served:
        for name in ("mine", "theirs"):
            create_fake(served, folder, name, environment={"SAYS": '[{"content": "Hello."}]'})
        yield served


def test_a_key_is_shown_once_used_and_revoked(server: Served, windows: Windows) -> None:
    page = windows(server)
    page.get_by_role("link", name="Keys").click()
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("laptop")
    dialog.get_by_role("combobox", name="Access").click()
    page.get_by_role("option", name="Selected instances").click()
    dialog.get_by_role("combobox", name="Instances").click()
    page.get_by_role("option", name="mine").click()
    page.keyboard.press("Escape")
    dialog.get_by_role("combobox", name="Expires").click()
    page.get_by_role("option", name="In 30 days").click()
    dialog.get_by_role("button", name="Create").click()
    shown = page.get_by_role("status").filter(has_text="is shown only once")
    secret = shown.locator("code").inner_text()
    card = page.get_by_role("article", name="laptop")
    expect(card).to_contain_text("can use mine · expires")
    expect(card).to_contain_text("never used")

    asked = {"model": "mine", "messages": []}
    for model, status in (("mine", 200), ("theirs", 403)):
        answer = server.request(
            "POST", "/v1/chat/completions", {**asked, "model": model}, key=secret
        )
        assert answer.status_code == status
    page.reload()
    expect(card).to_contain_text("last used")
    assert secret not in page.content()

    card.get_by_role("button", name="Revoke laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", name="No keys yet")).to_be_visible()
    assert server.request("GET", "/v1/models", key=secret).status_code == 401


def test_a_wrong_key_is_told_so(server: Served, windows: Windows) -> None:
    page = windows(server, key="")
    page.get_by_label("Key", exact=True).fill("llamactl-wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("key")
    expect(page.get_by_label("Key", exact=True)).to_have_value("llamactl-wrong")


def test_who_may_only_chat_sees_the_chat_alone(server: Served, windows: Windows) -> None:
    body = {"name": "guest", "permission_mode": "per_instance", "instances": ["mine"]}
    made = server.request("POST", "/api/v1/auth/keys", body).json()
    page = windows(server, key=made["key"])

    expect(page.get_by_role("heading", name="Chat", level=1)).to_be_visible()
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == ["Chat"]
    page.get_by_role("combobox", name="Instance").click()
    assert page.get_by_role("option").all_inner_texts() == ["mine"]
    page.keyboard.press("Escape")
    go(page, "instances")
    expect(page.get_by_role("heading", name="Chat", level=1)).to_be_visible()
    page.get_by_label("Message").fill("Hello?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="mine said")).to_contain_text("Hello.")

    # revoked while its page is open: the next thing that is asked leads back to the sign-in
    server.request("DELETE", f"/api/v1/auth/keys/{made['id']}")
    page.get_by_label("Message").fill("Still there?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in to llamactl")).to_be_visible()


def test_signed_out_in_one_window_is_signed_out_in_all(server: Served, windows: Windows) -> None:
    page = windows(server)
    expect(page.get_by_role("link", name="mine")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{server.url}/#/keys")
    expect(other.get_by_role("heading", name="Keys", level=1)).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to llamactl")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in to llamactl")).to_be_visible()
    # the live stream may end before the answer comes that removes the cookie
    assert until("no cookie", page.context.cookies, lambda found: not found) == []


def test_no_script_can_read_the_session(server: Served, windows: Windows) -> None:
    page = windows(server)
    (cookie,) = page.context.cookies()

    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    assert server.key not in str(page.evaluate("JSON.stringify({...localStorage})"))
    with httpx.Client(cookies={cookie["name"]: cookie["value"]}) as client:
        assert client.get(f"{server.url}/v1/models").status_code == 401


def test_without_auth_nobody_signs_in(tmp_path: Path, windows: Windows) -> None:
    settings = "auth: {require_management_auth: false, require_inference_auth: false}"
    with serve(data_folder(tmp_path, settings)) as server:
        page = windows(server, key="")
        expect(page.get_by_role("heading", name="Instances", level=1)).to_be_visible()
        assert page.get_by_role("button", name="Sign out").count() == 0
