"""System endpoints, Swagger and the form of errors."""

from __future__ import annotations

import pytest

from reference.conftest import Curl
from support.engines import Engine
from support.served import Served

pytestmark = pytest.mark.both_engines


def test_version_is_three_lines_of_text(curl: Curl) -> None:
    answer = curl("/api/v1/version")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    labels = [line.split(": ")[0] for line in answer.text.strip().splitlines()]
    assert labels == ["Version", "Commit", "Build Time"]


@pytest.mark.parametrize("path", ["help", "version", "devices"])
def test_the_engine_speaks_for_itself(curl: Curl, engine: Engine, path: str) -> None:
    word = {"help": "--ctx-size", "version": "version", "devices": engine.devices}[path]

    answer = curl(f"/api/v1/server/{path}")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert word in answer.text


def test_swagger_serves_its_page_its_assets_and_the_document(curl: Curl) -> None:
    assert "swagger-ui" in curl("/swagger/", key=None).text
    document = curl("/swagger/openapi.json", key=None).json()

    assert "/api/v1/instances/{name}" in document["paths"]


def test_health_is_open(curl: Curl) -> None:
    assert curl("/health", key=None).json() == {"status": "ok"}


def test_unknown_paths_and_methods_are_json_errors(curl: Curl) -> None:
    unknown = curl("/api/v1/nothing")
    method = curl("-X", "PATCH", "/api/v1/instances")

    assert (unknown.status, unknown.json()["code"]) == (404, "not_found")
    assert (method.status, method.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/api/v1/instances", "/api/v1/version", "/v1/models"])
def test_no_key_and_a_wrong_key_are_401(curl: Curl, path: str) -> None:
    for key in (None, "wrong", "llamactl-abc.wrong"):
        answer = curl(path, key=key)

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "bearer"
        assert answer.json()["code"] == "unauthenticated"


def test_a_key_may_come_as_x_api_key_but_never_in_the_query(curl: Curl, served: Served) -> None:
    key = served.key

    assert curl("-H", f"X-Api-Key: {key}", "/api/v1/instances", key=None).status == 200
    assert curl(f"/api/v1/instances?api_key={key}", key=None).status == 401
