"""The disk is full: what takes a right away counts all the same, and is remembered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from support.full_disk import fill, small_disk, unchangeable
from support.served import Served, data_folder, serve
from support.waits import until

SESSION, KEYS, MODELS = "/api/v1/session", "/api/v1/auth/keys", "/v1/models"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and "LLAMACTL_CI" not in os.environ,
    reason="needs root, for a disk that is full",
)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    filler = fill(folder)
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)


def make_key(server: Served, name: str = "one") -> dict[str, str]:
    made: dict[str, str] = server.request("POST", KEYS, {"name": name}).json()
    assert server.request("GET", MODELS, key=made["key"]).status_code == 200
    return made


def is_refused(server: Served, made: dict[str, str]) -> bool:
    return server.request("GET", MODELS, key=made["key"]).status_code == 401


def browser(server: Served, cookies: httpx.Cookies | None = None) -> httpx.Client:
    headers = {"Origin": server.url}
    return httpx.Client(base_url=server.url, headers=headers, timeout=20, cookies=cookies)


def until_persisted(server: Served, made: dict[str, str]) -> None:
    path = f"{KEYS}/{made['id']}"
    until(
        "the key gone",
        lambda: server.request("GET", path).status_code,
        lambda status: status == 404,
    )


def test_a_key_is_revoked_and_stays_so_whatever_happens(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as folder:
        data = data_folder(folder, "{}")
        with ExitStack() as stack:
            with serve(data) as server:
                made, other = make_key(server), make_key(server, "other")
                stack.enter_context(full(folder))
                answer = server.request("DELETE", f"{KEYS}/{made['id']}")
                assert answer.status_code == 202
                assert answer.json() == {
                    "id": made["id"], "persisted": False, "survives_restart": True,
                }  # fmt: skip
                assert is_refused(server, made) and not is_refused(server, other)
                again = server.request("DELETE", f"{KEYS}/{made['id']}")
                assert again.json()["persisted"] is False
                shown = server.request("GET", f"{KEYS}/{made['id']}").json()
                assert (shown["revoked"], shown["persisted"]) == (True, False)
                listed = server.request("GET", KEYS).json()
                assert [row["name"] for row in listed] == ["other"]
                server.kill()
            # still full
            with serve(data) as server:
                assert is_refused(server, made) and not is_refused(server, other)
                shown = server.request("GET", f"{KEYS}/{made['id']}").json()
                assert shown["persisted"] is False
                server.kill()
        # with room
        with serve(data) as server:
            assert is_refused(server, made) and not is_refused(server, other)
            until_persisted(server, made)
        with serve(data) as server:
            assert is_refused(server, made)


def test_it_is_stored_as_soon_as_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as folder, serve(data_folder(folder, "{}")) as server:
        made = make_key(server)
        with full(folder):
            assert server.request("DELETE", f"{KEYS}/{made['id']}").status_code == 202
        until_persisted(server, made)
        (folder / "data" / "revocations").unlink()
        server.kill()
        with serve(folder / "data") as again:
            assert is_refused(again, made)


def test_a_sign_out_outlives_the_crash_of_a_full_server(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as folder:
        data = data_folder(folder, "{}")
        with ExitStack() as stack, serve(data) as server, browser(server) as person:
            person.post(SESSION, json={"key": server.key})
            kept = httpx.Cookies(person.cookies)
            stack.enter_context(full(folder))
            answer = person.delete(SESSION)
            assert (answer.status_code, answer.json()["persisted"]) == (202, False)
            server.kill()
        port = int(server.url.rpartition(":")[2])
        with serve(data, port=port) as server, browser(server, kept) as thief:
            assert thief.get(SESSION).status_code == 401


def test_signing_in_and_out_works_without_the_store(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as folder:
        data = data_folder(folder, "{}")
        with serve(data) as server, browser(server) as person, browser(server) as leaves:
            with full(folder):
                signed_in = person.post(SESSION, json={"key": server.key})
                assert (signed_in.status_code, signed_in.json()["persisted"]) == (200, False)
                assert person.get("/api/v1/instances").status_code == 200
                leaves.post(SESSION, json={"key": server.key})
                assert leaves.delete(SESSION).status_code == 204  # only memory ever had it
            until("the session persisted", lambda: person.get(SESSION).json()["persisted"])
            kept = httpx.Cookies(person.cookies)
            server.kill()
        port = int(server.url.rpartition(":")[2])
        with serve(data, port=port) as server, browser(server, kept) as person:
            assert person.get("/api/v1/instances").status_code == 200


def test_where_nothing_can_be_written_at_all_the_answer_says_so(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "{}")
    with serve(data) as server:
        made = make_key(server)
        store = data / "llamactl.db"
        files = [store, store.with_name("llamactl.db-wal"), data / "revocations"]
        with unchangeable(*files):
            answer = server.request("DELETE", f"{KEYS}/{made['id']}")
            assert answer.status_code == 202
            assert answer.json()["survives_restart"] is False
            assert is_refused(server, made)
        until_persisted(server, made)
        assert is_refused(server, made)


def test_an_upgrade_waits_for_what_the_store_does_not_have(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as folder, serve(data_folder(folder, "{}")) as server:
        made = make_key(server)
        with full(folder), browser(server) as person:
            server.request("DELETE", f"{KEYS}/{made['id']}")
            person.post(SESSION, json={"key": server.key})
            kept = httpx.Cookies(person.cookies)
            assert server.request("POST", "/api/v1/upgrade").status_code in (500, 503)
        server.upgrade()
        with browser(server, kept) as person:
            assert person.get("/api/v1/instances").status_code == 200
        assert is_refused(server, made)
