"""What happened and why, and what the server and its machine are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.window import Windows, go

PAGE = 100  # events
SETTINGS = "instances: {max_running_instances: 1}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("activity")
    with serve(data_folder(folder, SETTINGS), {"LLAMACTL_LOG_LEVEL": "warning"}) as served:
        create_fake(served, folder, "first")
        create_fake(served, folder, "second", start=False)
        yield served


def test_an_eviction_is_planned_done_and_explained(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/activity")
    events = page.get_by_role("article")
    expect(events.filter(has_text="Became ready")).to_have_count(1)
    page.get_by_role("combobox", name="Instance").click()
    page.get_by_role("option", name="second").click()
    page.get_by_role("button", name="What would a request do?").click()
    plan = page.get_by_role("status").filter(has_text="It would stop others first")
    expect(plan).to_contain_text("Stops first (0 requests).")
    assert server.instance("first")["state"] == "ready"

    server.request("POST", "/v1/chat/completions", {"model": "second"})
    expect(events.filter(has_text="Became ready")).to_have_count(1)
    expect(page.get_by_role("article", name="first: ")).to_have_count(0)
    page.get_by_role("combobox", name="Instance").click()
    page.get_by_role("option", name="first").click()
    evicted = page.get_by_role("article", name="first: Evicted", exact=True)
    expect(evicted).to_contain_text("second needs a place")
    evicted.get_by_text("Details").click()
    expect(evicted).to_contain_text('"for": "second"')
    page.get_by_label("Search events").fill("needs a place")
    expect(events).to_have_count(2)
    evicted.get_by_role("link", name="first").click()
    expect(page.get_by_role("heading", name="first", level=1)).to_be_visible()


def newest_event(server: Served) -> int:
    return int(server.request("GET", "/api/v1/activity?limit=1").json()[0]["id"])


def test_events_of_long_ago(server: Served, windows: Windows) -> None:
    server.request("POST", "/api/v1/instances/first/stop")
    server.until("first", "stopped")
    first = newest = newest_event(server)
    while newest - first < PAGE:
        assert server.request("POST", "/api/v1/instances/second/start").status_code == 200
        assert server.request("POST", "/api/v1/instances/second/stop").status_code == 200
        newest = newest_event(server)
    page = windows(server, path="#/activity")
    oldest = page.get_by_role("article", name="first: Start requested")
    expect(page.get_by_text("Exited").first).to_be_visible()
    expect(oldest).to_have_count(0)
    page.get_by_role("button", name="Show earlier events").click()
    expect(oldest).to_be_visible()
    expect(page.get_by_role("button", name="Show earlier events")).to_be_hidden()


def test_a_machine_is_taken_into_service_again(server: Served, windows: Windows) -> None:
    [own] = server.request("GET", "/api/v1/nodes").json()
    page = windows(server, path="#/system")
    machines = page.get_by_role("region", name="Machines")
    expect(page.get_by_role("region", name="Engines")).to_be_visible()
    expect(machines).to_be_hidden()  # where there is only one
    server.request("POST", f"/api/v1/nodes/{own['name']}/drain").raise_for_status()
    server.until("first", "stopped")
    refused = server.request("POST", "/v1/chat/completions", {"model": "first"})
    assert (refused.status_code, refused.json()["code"]) == (503, "node_away")

    expect(machines).to_contain_text("This server, drained")
    machines.get_by_role("button", name="Resume").click()
    expect(machines).to_be_hidden()
    answer = server.request("POST", "/v1/chat/completions", {"model": "first"})
    assert answer.status_code == 200


def test_the_server_and_its_machine(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/system")
    system = server.request("GET", "/api/v1/system").json()
    about = page.get_by_role("region", name="About")
    expect(about).to_contain_text(system["version"])
    if system["commit"] != "unknown":  # neither installed nor a checkout
        expect(about.get_by_role("row", name=re.compile("^Version"))).to_contain_text(
            system["commit"]
        )
    expect(about).not_to_contain_text("Invalid Date")
    expect(about.get_by_role("row", name="Data directory")).to_contain_text(str(server.data_dir))
    process = about.get_by_role("row", name=re.compile("^Process"))
    expect(process).to_contain_text(str(server.process.pid))
    engines = page.get_by_role("region", name="Engines")
    expect(engines.get_by_role("row", name="llama.cpp")).to_contain_text("GPU")
    expect(page.get_by_text("Free disk space")).to_be_visible()

    page.get_by_role("button", name="Check the installation").click()
    expect(page.get_by_text("OK · clock")).to_be_visible()

    settings = page.get_by_role("region", name="Settings")
    page.get_by_label("Search settings").fill("max_running")
    expect(settings.get_by_role("row").nth(1)).to_contain_text("llamactl.yaml")
    page.get_by_label("Search settings").fill("log.level")
    expect(settings.get_by_role("row").nth(1)).to_contain_text("LLAMACTL_LOG_LEVEL")

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="API documentation").click()
    opened.value.wait_for_url("**/swagger/")
    expect(opened.value.get_by_text("/api/v1/instances/{name}/plan")).to_be_visible()


def test_settings_that_have_their_default_are_shown_by_section_when_asked_for(
    server: Served, windows: Windows
) -> None:
    page = windows(server)
    go(page, "system")
    settings = page.get_by_role("region", name="Settings")
    given = settings.get_by_role("row", name=re.compile("^instances.max_running_instances"))
    default = settings.get_by_role("row", name=re.compile("^instances.stop_timeout"))
    expect(given).to_contain_text("maximum number of running instances")
    expect(given).to_contain_text("1 instances")
    expect(given).to_contain_text("a reload")
    expect(settings.get_by_role("heading", name="log", exact=True)).to_be_visible()
    expect(default).to_have_count(0)
    expect(settings.get_by_role("heading", name="models")).to_have_count(0)

    page.get_by_label("Show defaults").check(force=True)

    expect(default).to_contain_text("10 seconds")
    expect(settings.get_by_role("heading", name="models")).to_be_visible()
    expect(settings.get_by_role("row", name=re.compile("^models.folders"))).to_contain_text(
        "a restart"
    )
    expect(settings.get_by_role("row", name=re.compile("^data_dir"))).to_contain_text("flag")
    page.get_by_label("Show defaults").uncheck(force=True)
    expect(default).to_have_count(0)


def test_a_setting_that_holds_a_secret_is_not_shown(server: Served, windows: Windows) -> None:
    page = windows(server)
    go(page, "system")
    settings = page.get_by_role("region", name="Settings")
    page.get_by_label("Search settings").fill("management_keys")
    expect(settings.get_by_role("row")).to_have_count(2)
    expect(settings).not_to_contain_text(server.key)
