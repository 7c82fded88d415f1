"""The server goes and comes back, and things change behind the page's back."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.window import Windows, go, unfold


def test_what_is_shown_is_old_and_says_so(tmp_path: Path, windows: Windows) -> None:
    data = data_folder(tmp_path, "{}")
    lost = "Connection to the server lost"
    with serve(data) as server:
        create_fake(server, tmp_path, "stays", start=False)
        port = int(server.url.rpartition(":")[2])
        page = windows(server)
        expect(page.get_by_role("link", name="stays")).to_be_visible()
        server.kill()
        expect(page.get_by_text(lost)).to_be_visible()
        expect(page.get_by_role("link", name="stays")).to_be_visible()
        page.get_by_role("button", name="Start stays").click()
        expect(page.get_by_text("The server can't be reached.")).to_be_visible()
    with serve(data, port=port) as server:
        create_fake(server, tmp_path, "new", start=False)
        expect(page.get_by_text(lost)).to_be_hidden()
        expect(page.get_by_role("link", name="new", exact=True)).to_be_visible()
        page.get_by_role("button", name="Start stays").click()
        expect(page.get_by_text("Running", exact=True)).to_be_visible()


def test_a_log_goes_on_where_it_was(tmp_path: Path, windows: Windows) -> None:
    data = data_folder(tmp_path, "{}")
    with serve(data) as server:
        create_fake(server, tmp_path, "logs", environment={"LOGS": "the first line"})
        port = int(server.url.rpartition(":")[2])
        page = windows(server, path="#/instances/logs?tab=log")
        log = page.get_by_role("region", name="Log of logs")
        expect(log).to_contain_text("the first line")
        server.kill()
        expect(page.get_by_text("can't be reached").first).to_be_visible()
    with serve(data, port=port) as server:
        server.request("POST", "/api/v1/instances/logs/restart")
        expect(log.get_by_text("the first line")).to_have_count(2)


def test_deleted_by_somebody_else(served: Served, windows: Windows, tmp_path: Path) -> None:
    for name in ("listed", "opened", "edited"):
        create_fake(served, tmp_path, name, start=False)
    listing, opened, edited = (windows(served) for _ in range(3))
    go(opened, "instances/opened")
    go(edited, "instances/edited/edit")
    expect(listing.get_by_role("link", name="listed")).to_be_visible()
    expect(opened.get_by_role("heading", name="opened")).to_be_visible()
    expect(edited.get_by_role("heading", name="Edit edited")).to_be_visible()
    for name in ("listed", "opened", "edited"):
        assert served.request("DELETE", f"/api/v1/instances/{name}").status_code in (200, 204)

    expect(listing.get_by_role("link", name="listed")).to_be_hidden()
    expect(opened.get_by_text("This instance does not exist")).to_be_visible()
    expect(edited.get_by_text("This instance was deleted")).to_be_visible()
    unfold(edited)
    edited.get_by_label("Group").fill("late")
    edited.get_by_role("button", name="Save").click()
    expect(
        edited.get_by_role("alert").filter(has_text="Could not save the changes")
    ).to_be_visible()


def test_an_upgrade_is_not_noticed(served: Served, windows: Windows, tmp_path: Path) -> None:
    create_fake(served, tmp_path, "through")
    page = windows(served)
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    served.upgrade()

    served.until_answer(
        "/api/v1/system", "the new one", lambda about: about["pid"] != served.process.pid
    )
    page.get_by_role("button", name="Stop through").click()
    expect(page.get_by_text("Stopped", exact=True)).to_be_visible()
    expect(page.get_by_text("Connection to the server lost")).to_be_hidden()
