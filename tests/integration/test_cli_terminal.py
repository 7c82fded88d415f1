"""Commands on a real terminal of a given width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_engine import create_fake, until_told
from support.served import Served, data_folder, serve
from support.terminal import on_terminal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("terminal")
    engine = folder / "engine"
    engine.write_text("#!/bin/sh\necho 'error: failed to open GGUF file x'\nexit 1\n")
    engine.chmod(0o755)
    with serve(data_folder(folder, "")) as running:
        body = {"model": str(engine), "command_override": str(engine), "auto_restart": False}
        for name in ("qwen3-coder-30b", "a"):
            failed = running.request("POST", f"/api/v1/instances/{name}", body)
            assert failed.status_code == 500
        body = {"model": "x"}
        running.request("POST", "/api/v1/instances/idle-one?start=false", body)
        yield running


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("words", [("ps",), ("top", "--count", "1")])
def test_names_and_states_are_whole_where_instances_failed(
    server: Served, columns: int, words: tuple[str, ...]
) -> None:
    lines = on_terminal(server, columns, *words)

    rows = {tuple(line.split()[:2]) for line in lines if line.strip()}
    assert {("NAME", "STATUS"), ("qwen3-coder-30b", "failed"), ("a", "failed"),
            ("idle-one", "stopped")} <= rows, lines  # fmt: skip
    assert max(map(len, lines)) <= columns


def test_who_waits_for_a_start_sees_that_it_is_loading(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "slow", start=False, model="slow")

        def loaded() -> None:
            """As soon as its process has a port, and listens there."""
            until_told(server.until_row("slow", "a port", lambda row: row["port"]), "loaded")

        for words in (("start", "slow"), ("restart", "slow"), ("update", "slow", "ctx_size=512")):
            lines = on_terminal(server, 80, *words, seen=b"loading slow (", then=loaded)

            assert "slow  running" in lines, (words, lines)


def test_open_starts_a_browser_and_shows_it_the_link_by_a_file(
    server: Served, tmp_path: Path
) -> None:
    """What a browser is started with, every user of the machine can read."""
    browser, started_with = tmp_path / "browser", tmp_path / "started-with"
    browser.write_text(f'#!/bin/sh\necho "$@" >{started_with}\n')
    browser.chmod(0o755)
    desktop = {"BROWSER": f"{browser} %s", "DISPLAY": ":0", "TMPDIR": str(tmp_path)}

    link, note = filter(None, on_terminal(server, 200, "open", variables=desktop))

    argument = started_with.read_text().strip()
    assert "token" in link and link.partition("=")[2] not in argument
    file = Path(argument.removeprefix("file://"))
    assert file.parent == tmp_path and file.stat().st_mode & 0o777 == 0o600
    assert f"url={link}" in file.read_text()
    assert note == "This link signs in once, within 60 s, in a browser on this machine."


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("--no-browser",), {"DISPLAY": ":0"}),
        (("--json",), {"DISPLAY": ":0"}),
        ((), {}),
        ((), {"DISPLAY": ":0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}),
    ],
)
def test_open_starts_no_browser(
    server: Served, tmp_path: Path, words: tuple[str, ...], variables: dict[str, str]
) -> None:
    started = tmp_path / "started"
    browser = {"BROWSER": f"/usr/bin/touch {started} %s", "TMPDIR": str(tmp_path)}

    assert "token=" in "".join(
        on_terminal(server, 200, "open", *words, variables=browser | variables)
    )
    assert [*tmp_path.iterdir()] == []


def test_open_says_so_where_the_browser_does_not_start(server: Served, tmp_path: Path) -> None:
    desktop = {"BROWSER": "/bin/false %s", "DISPLAY": ":0", "TMPDIR": str(tmp_path), "PATH": ""}

    lines = [*filter(None, on_terminal(server, 200, "open", variables=desktop))]

    assert lines[-1] == "No browser could be started; open the link yourself."
    assert [*tmp_path.iterdir()] == []
