"""Ollama's own program, by what it sends (support/ollama_recorder.py), and keys in paths."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.served import Served, data_folder, serve

pytestmark = pytest.mark.representative

RECORDED = json.loads((Path(__file__).parents[1] / "support/ollama_requests.json").read_text())
# What the program reads of an answer, by path: fields, and those of each row.
NEEDED = {
    "/api/tags": {"name", "model", "modified_at", "size", "digest", "details"},
    "/api/ps": {"name", "size", "size_vram", "digest", "expires_at", "context_length"},
    "/api/show": {"details", "model_info", "capabilities", "parameters", "modified_at"},
    "/api/embed": {"embeddings", "prompt_eval_count"},
    "/api/embeddings": {"embedding"},
    "/api/version": {"version"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    data = data_folder(tmp_path_factory.mktemp("program"), "log: {requests: true}")
    with serve(data) as server:
        for name, more in (
            ("tiny", {}), ("embedder", {"embedding": True, "pooling": "mean"}),
        ):  # fmt: skip
            body = {"model": str(tiny_model), "ctx_size": 512, "predict": 8, **more}
            path = f"/api/v1/instances/{name}?start=false"
            assert server.request("POST", path, body).status_code == 201
        yield server


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    made: str = server.request("POST", "/api/v1/auth/keys", {"name": "program"}).json()["key"]
    return made


def ask(server: Served, method: str, path: str, **more: Any) -> httpx.Response:
    """Without a key in a header."""
    return httpx.request(method, server.url + path, timeout=60, trust_env=False, **more)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda r: "_".join(r["command"]))
def test_the_program_gets_what_it_needs(server: Served, key: str, recorded: Any) -> None:
    for sent in recorded["sent"]:
        path = sent["path"].replace("KEY", key)
        answer = ask(server, sent["method"], path, headers=sent["headers"], content=sent["body"])

        assert answer.status_code == sent["status"], (sent, answer.text)
        if sent["method"] != "HEAD":
            check(path.removeprefix(f"/k/{key}"), answer)


def check(path: str, answer: httpx.Response) -> None:
    rows = [json.loads(line) for line in answer.text.splitlines()]
    if answer.is_error or path == "/api/pull":  # of which it may do none
        assert isinstance(rows[-1]["error"], str) and "{" not in rows[-1]["error"]
    elif path in ("/api/chat", "/api/generate"):
        assert rows[-1]["done"] and {"created_at", "model"} <= set(rows[-1])
    else:
        for row in rows[0].get("models", rows):
            assert set(row) >= NEEDED[path]


def test_the_program_says_who_it_is_by_a_path(server: Served, key: str) -> None:
    """And OpenAI's clients, which send a made-up key, are served as well."""
    made_up = {"Authorization": "Bearer ollama"}
    listed = ask(server, "GET", f"/k/{key}/v1/models", headers=made_up)
    hello = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    said = ask(server, "POST", f"/k/{key}/v1/chat/completions", json=hello, headers=made_up)
    root = [
        ask(server, method, f"/k/{key}{end}") for end in ("", "/") for method in ("GET", "HEAD")
    ]

    assert {row["id"] for row in listed.json()["data"]} == {"tiny", "embedder"}
    assert said.json()["model"] == "tiny"
    assert {r.status_code for r in root} == {200} and root[0].text == "Ollama is running"


def test_an_unknown_or_a_management_key_counts_in_no_path(server: Served, key: str) -> None:
    for wrong in ("x", "", server.key, f"{key}x", key.partition(".")[0]):
        for path in ("/", "/api/tags", "/v1/models", "/api/version", "/health"):
            answer = ask(server, "GET", f"/k/{wrong}{path}")
            assert answer.status_code == 401, (wrong, path)
            assert len(wrong) < 10 or wrong not in answer.text


def test_a_key_in_a_path_counts_for_ollamas_paths_and_v1_alone(server: Served, key: str) -> None:
    for path in (
        "/api/v1/instances", "/health", "/metrics", "/props?model=tiny", "/unload", "/running",
        "/upstream/tiny/props", "/llama-cpp/tiny/props", "/assets/x.js", "/api/v1/chat/models",
        "/api/v1/instances/tiny/proxy/health", "/api/tags/", "/page/x/y/", "/nothing",
    ):  # fmt: skip
        answer = ask(server, "GET", f"/k/{key}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert key not in answer.text
    assert ask(server, "GET", f"/k/{key}/k/{key}/api/tags").status_code == 400


def test_a_browser_may_send_no_key_in_a_path(server: Served, key: str) -> None:
    for header in (
        {"Origin": server.url}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Dest": "image"},
    ):  # fmt: skip
        assert ask(server, "GET", f"/k/{key}/api/tags", headers=header).status_code == 403
    preflight = {"Origin": "http://x", "Access-Control-Request-Method": "POST"}
    assert ask(server, "OPTIONS", f"/k/{key}/api/chat", headers=preflight).status_code == 403


def test_a_key_in_a_path_is_the_keys_and_ends_with_it(server: Served) -> None:
    of_one = {"name": "one", "permission_mode": "per_instance", "instances": ["tiny"]}
    made = server.request("POST", "/api/v1/auth/keys", of_one).json()
    tags = f"/k/{made['key']}/api/tags"

    assert [row["name"] for row in ask(server, "GET", tags).json()["models"]] == ["tiny"]
    shown = ask(server, "POST", f"/k/{made['key']}/api/show", json={"model": "embedder"})
    assert (shown.status_code, shown.json()["error"]) == (404, "model 'embedder' not found")
    assert server.request("DELETE", f"/api/v1/auth/keys/{made['id']}").is_success
    assert ask(server, "GET", tags).status_code == 401


def test_a_key_in_a_path_stands_in_no_log(server: Served, key: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    paths = [f"/k/{key}/api/tags", f"/k/{key}/none", f"/%6b/{key}/api/tags", f"//k//{key}/x",
             f"/k/{key}/k/{key}/v1/models", f"ftp://a/k/{key}/api/tags", f"/k/{key}"]  # fmt: skip
    for path in paths:
        with socket.create_connection((host, int(port)), timeout=10) as line:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            line.sendall(request.encode())
            said = b"".join(iter(lambda line=line: line.recv(65536), b""))  # type: ignore[misc]
        assert key.encode() not in said, path
    log = (server.data_dir.parent / f"{server.data_dir.name}.err").read_text()

    assert '"/api/tags"' in log or "/api/tags" in log
    assert key not in log and key.partition(".")[2] not in log


def test_head_answers_where_get_does(server: Served) -> None:
    for path in ("/", "/api/tags", "/api/ps", "/api/version"):
        answer = server.request("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_the_root_is_a_page_for_browsers_and_runs_for_programs(server: Served) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = ask(server, "GET", "/", headers=browser)
    anything = ask(server, "GET", "/")
    programs = [
        ask(server, "GET", "/", headers={"Accept": accept})
        for accept in ("application/json", "application/json, text/plain, */*", "text/plain")
    ]

    assert "<html" in page.text and "<html" in anything.text
    assert {program.text for program in programs} == {"Ollama is running"}
