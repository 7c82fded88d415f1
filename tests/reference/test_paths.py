"""What is where: unknown paths are 404 for everybody, known ones ask for their key first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("paths")
    with serve(data_folder(folder, "")) as running:
        create_fake(running, folder, "fake")
        yield running


@pytest.fixture(scope="module")
def keys(server: Served) -> dict[str, str]:
    made = server.request("POST", "/api/v1/auth/keys", {"name": "some"}).json()
    return {"none": "", "wrong": "wrong", "inference": made["key"], "management": server.key}


KINDS = ("none", "wrong", "inference", "management")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/nowhere", "/api/v1/instances/fake/nowhere", "/v2/x", "/api/x"]
)
def test_an_unknown_path_is_404_whoever_asks(
    server: Served, keys: dict[str, str], method: str, path: str, kind: str
) -> None:
    for body in (None, {"a": 1}, {"a": "b" * 100_000}):
        answer = server.request(method, path, body, key=keys[kind])

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/instances"),
        ("PATCH", "/api/v1/instances"),
        ("POST", "/api/v1/instances/fake"),
        ("DELETE", "/api/v1/auth/keys/x"),
        ("PUT", "/api/v1/version"),
        ("GET", "/api/v1/live"),
        ("GET", "/api/v1/instances/fake/proxy/x"),
        ("GET", "/metrics"),
        ("POST", "/api/pull"),
        ("GET", "/running"),
    ],
)
def test_a_known_path_asks_for_its_key_first(
    server: Served, keys: dict[str, str], method: str, path: str
) -> None:
    for body in (None, "not JSON at all") if method in ("POST", "PUT") else (None,):
        for kind in ("none", "wrong"):
            with server.client(keys[kind]) as client:
                answer = client.request(method, path, content=body)
            assert answer.status_code == 401, answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["code"] == "unauthenticated"
    if path.startswith(("/api/v1/", "/metrics")):
        assert server.request(method, path, key=keys["inference"]).status_code == 403


def test_a_method_that_a_path_does_not_know_is_405(server: Served, keys: dict[str, str]) -> None:
    def status(method: str, path: str, kind: str) -> tuple[int, Any]:
        answer = server.request(method, path, key=keys[kind])
        return answer.status_code, answer.json()["code"]

    refused = (405, "method_not_allowed")
    assert status("PATCH", "/api/v1/instances", "management") == refused
    assert status("PATCH", "/api/v1/instances", "inference")[0] == 403
    assert status("DELETE", "/health", "none") == refused
    assert status("PATCH", "/api/v1/session", "none") == refused
    assert status("DELETE", "/v1/models", "inference") == refused
    assert status("GET", "/v1/completions?model=fake", "inference") == refused


def test_an_inference_key_is_told_what_an_engine_has_not(
    server: Served, keys: dict[str, str]
) -> None:
    """What it has, and is not for this key, stays 403."""
    for path, status in (
        ("/v1/nowhere?model=fake", 404), ("/upstream/fake/nowhere", 404),
        ("/llama-cpp/fake/v1/nowhere", 404), ("/upstream/fake/slots/0", 403),
        ("/slots?model=fake", 403), ("/v1/lora-adapters?model=fake", 403),
        ("/upstream/fake/v1/%2e%2e/slots", 403),
    ):  # fmt: skip
        assert server.request("GET", path, key=keys["inference"]).status_code == status
        assert server.request("GET", path).status_code == 200  # the scripted engine has all
