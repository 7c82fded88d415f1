"""The disk of the contexts is full, out of files, or can't be written: nothing waits for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.faults import BASE
from support.full_disk import small_disk
from support.served import Served, data_folder, serve
from support.waits import until

PROMPT = "one two three four " * 12
SETTINGS = "instances: {context_min_tokens: 32}\n"
Harm = Callable[[Path], Callable[[], object]]  # what is returned ends it


def ask(server: Served) -> tuple[str, int]:
    """What it answers, and how many tokens of the prompt it had."""
    body = {"model": "one", "prompt": PROMPT, "max_tokens": 4, "temperature": 0, "seed": 1}
    answer = server.request("POST", "/v1/completions", body)
    assert answer.status_code == 200, answer.text
    said: Any = answer.json()
    return said["choices"][0]["text"], said["usage"]["prompt_tokens_details"]["cached_tokens"]


def told(server: Served) -> list[tuple[str, str]]:
    rows = server.request("GET", f"{BASE}/one/events").json()
    return [(row["event"], row["cause"]) for row in rows if row["event"].endswith("Saved")]


def stop_and_start(server: Served) -> None:
    for what in ("stop", "start"):
        answer = server.request("POST", f"{BASE}/one/{what}?wait=true")
        assert answer.status_code == 200, answer.text


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("slot-*"))


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def no_bytes(folder: Path) -> Callable[[], object]:
    remount(folder, "size=64m")
    return lambda: remount(folder, "size=2g")


def no_files(folder: Path) -> Callable[[], object]:
    """The engine's own write fails, after there seemed to be room."""
    with ExitStack() as stack:
        for n in range(100):
            try:
                (folder / f"filler{n}").touch()
            except OSError:
                break
            stack.callback((folder / f"filler{n}").unlink)
        return stack.pop_all().close


def read_only(folder: Path) -> Callable[[], object]:
    remount(folder, "ro")
    return lambda: remount(folder, "rw")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    data = data_folder(tmp_path_factory.mktemp("shared"), SETTINGS)
    with small_disk(data / "contexts", "2g,nr_inodes=16") as disk, serve(data) as server:
        yield server, disk


@pytest.fixture
def served(shared: tuple[Served, Path], tiny_model: Path) -> Iterator[tuple[Served, Path]]:
    """With an instance that runs, and nothing kept."""
    server, disk = shared
    body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512}}
    assert server.request("POST", f"{BASE}/one", body).status_code == 201
    yield shared
    server.clear()
    assert files(disk) == []


@pytest.mark.parametrize(
    ("harm", "why"), [(no_bytes, "no room"), (no_files, "slot 0: "), (read_only, "slot 0: ")]
)
def test_stops_and_starts_go_on_and_it_is_said_once(
    served: tuple[Served, Path], harm: Harm, why: str
) -> None:
    server, disk = served
    text, _ = ask(server)
    heal = harm(disk)
    for _ in range(3):
        stop_and_start(server)
        assert ask(server)[0] == text
    [(event, cause)] = told(server)
    assert (event, why in cause, files(disk)) == ("ContextNotSaved", True, [])

    heal()
    stop_and_start(server)
    assert ask(server)[1] > 0, "it is kept again"
    assert [event for event, _ in told(server)] == ["ContextNotSaved", "ContextSaved"]
    until("its files", lambda: files(disk) == ["slot-0.bin", "slot-0.json"])


@pytest.mark.parametrize("harm", [no_bytes, no_files, read_only])
def test_what_was_kept_before_is_used_all_the_same(served: tuple[Served, Path], harm: Harm) -> None:
    server, disk = served
    text, _ = ask(server)
    server.request("POST", f"{BASE}/one/stop?wait=true")
    until("its files", lambda: files(disk) == ["slot-0.bin", "slot-0.json"])
    heal = harm(disk)
    server.request("POST", f"{BASE}/one/start?wait=true")
    again, cached = ask(server)
    assert again == text and cached > 0
    heal()


def test_an_instance_that_finds_its_folder_read_only_runs_without(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with small_disk(data / "contexts", "2g") as disk:
        remount(disk, "ro")
        with serve(data) as server:
            body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512}}
            assert server.request("POST", f"{BASE}/one", body).status_code == 201
            text, _ = ask(server)
            stop_and_start(server)
            assert (ask(server)[0], files(disk)) == (text, [])
