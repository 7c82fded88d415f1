"""axe finds nothing on any page: light and dark, wide and on a phone. Each is kept as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.axe import sticks_out, violations
from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.window import PHONE, WIDE, Windows, go, keep

# where each page is, its heading, and what it shows once all of it is there
PAGES = {
    "dashboard": ("dashboard", "Dashboard", "Context reused"),
    "instances": ("instances", "Instances", "broken"),
    "instance": ("instances/tiny", "tiny", "Command"),
    "failed": ("instances/broken", "broken", "View log"),
    "charts": ("instances/tiny?tab=charts", "tiny", "Context reused"),
    "connect": ("instances/tiny?tab=connect", "tiny", "Make a key here"),
    "log": ("instances/tiny?tab=log", "tiny", "Wrap lines"),
    "events": ("instances/tiny?tab=events", "tiny", "Became ready"),
    "edit": ("instances/tiny/edit", "Edit tiny", "It fits"),
    "container": ("instances/boxed", "boxed", "Runs the image"),
    "edit-container": ("instances/boxed/edit", "Edit boxed", "Variables in the container"),
    "new": ("new", "New instance", "Choose a model"),
    "chat": ("chat?model=tiny", "Chat", "Send a message to tiny"),
    "models": ("models", "Models", "Create instance"),
    "keys": ("keys", "Keys", "laptop"),
    "requests": ("requests", "Requests", "no instance named"),
    "activity": ("activity", "Activity", "Became ready"),
    "system": ("system", "System", "models.folders"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    """With something of each kind to show."""
    folder = tmp_path_factory.mktemp("shown")
    settings = f"models: {{folders: [{tiny_model.parent}]}}"
    with serve(data_folder(folder, settings)) as served:
        body = {"model": str(tiny_model), "ctx_size": 256, "group": "small"}
        for name, more in {"tiny": {}, "broken": {"no_such_option": 1}}.items():
            path = f"/api/v1/instances/{name}?wait=true&allow_unknown=true"
            made = served.request("POST", path, {**body, **more})
            assert made.status_code < 600
        create_fake(served, folder, "fake", start=False)
        container = {"image": "engine:1", "mounts": ["/a:/b:rw"], "env": {"A": "1"}, "gpus": "all"}
        boxed = {**body, "container": container}
        assert served.request("POST", "/api/v1/instances/boxed?start=false", boxed).is_success
        key = {"name": "laptop", "permission_mode": "per_instance", "instances": ["tiny"]}
        assert served.request("POST", "/api/v1/auth/keys", key).status_code == 201
        served.until("tiny", "ready")
        for model, key_shown in (("tiny", None), ("nothing", None), ("tiny", "wrong")):
            hello = [{"role": "user", "content": "Hello"}]
            said = {"model": model, "messages": hello, "max_tokens": 40}
            served.request("POST", "/v1/chat/completions", said, key=key_shown)
        served.request("POST", "/v1/completions", {"model": "tiny", "prompt": "a", "max_tokens": 2})
        yield served


@pytest.mark.parametrize("size", ["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page(server: Served, windows: Windows, scheme: str, size: str) -> None:
    page = windows(server, key="", color_scheme=scheme, viewport=PHONE if size == "phone" else WIDE)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    found = {"sign-in": violations(page)}
    page.get_by_label("Key", exact=True).fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    for name, (path, heading, shown) in PAGES.items():
        go(page, path)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        expect(page.get_by_role("main").get_by_text(shown).first).to_be_visible()
        found[name] = violations(page) + sticks_out(page)
        keep(page, f"{name}-{scheme}-{size}")

    assert {name: rows for name, rows in found.items() if rows} == {}
