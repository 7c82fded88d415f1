"""Instances: every operation, status and error of the reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from reference.conftest import Curl, Response
from support.served import Served

pytestmark = pytest.mark.both_engines

Post = Callable[..., Response]
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"llama2-7b.{next(_numbers)}"


def test_the_complete_lifecycle(
    curl: Curl, post: Post, definition: dict[str, Any], name: str
) -> None:
    path = f"/api/v1/instances/{name}"

    created = post(path, definition)
    assert created.status == 201
    assert list(created.json())[:3] == ["name", "status", "created"]
    assert (created.json()["name"], created.json()["status"]) == (name, "running")

    assert curl(path).json()["status"] == "running"
    assert name in [row["name"] for row in curl("/api/v1/instances").json()]
    assert len(curl(f"{path}/logs?lines=5").text.splitlines()) == 5

    question = {"model": name, "messages": [{"role": "user", "content": "Hello!"}]}
    chat = post("/v1/chat/completions", {**question, "max_tokens": 5})
    assert (chat.status, chat.json()["object"]) == (200, "chat.completion")

    proxied = post(f"{path}/proxy/completion", {"prompt": "Hello, world!", "n_predict": 5})
    assert (proxied.status, proxied.json()["tokens_predicted"]) == (200, 5)
    assert curl(f"{path}/proxy/health").json() == {"status": "ok"}

    stopped = curl("-X", "POST", f"{path}/stop")
    assert (stopped.status, stopped.json()["status"]) == (200, "stopping")
    assert curl("-X", "POST", f"{path}/stop?wait=true").json()["status"] == "stopped"
    assert curl(f"{path}/proxy/health").status == 503

    deleted = curl("-X", "DELETE", path)
    assert (deleted.status, deleted.text) == (204, "")
    assert curl(path).status == 404


def test_start_stop_and_restart_answer_at_once_and_are_idempotent(
    curl: Curl, post: Post, definition: dict[str, Any], name: str
) -> None:
    path = f"/api/v1/instances/{name}"
    assert post(f"{path}?start=false", definition).json()["status"] == "stopped"

    assert curl("-X", "POST", f"{path}/start").json()["status"] == "starting"
    assert curl("-X", "POST", f"{path}/start?wait=true").json()["status"] == "running"
    assert curl("-X", "POST", f"{path}/start").json()["status"] == "running"
    assert curl("-X", "POST", f"{path}/restart").json()["status"] == "restarting"
    assert curl("-X", "POST", f"{path}/restart?wait=true").json()["status"] == "running"
    assert curl("-X", "POST", f"{path}/stop?wait=true").json()["status"] == "stopped"
    assert curl("-X", "POST", f"{path}/stop").json()["status"] == "stopped"


def test_create_without_waiting_answers_starting(
    post: Post, definition: dict[str, Any], name: str
) -> None:
    answer = post(f"/api/v1/instances/{name}?wait=false", definition)

    assert (answer.status, answer.json()["status"]) == (201, "starting")


def test_unknown_names_are_404_everywhere(curl: Curl, post: Post) -> None:
    base = "/api/v1/instances/nobody"
    answers = [
        curl(base),
        post(base, {}, method="PUT"),
        curl("-X", "DELETE", base),
        curl("-X", "POST", f"{base}/start"),
        curl("-X", "POST", f"{base}/stop"),
        curl("-X", "POST", f"{base}/restart"),
        curl(f"{base}/logs"),
        curl(f"{base}/events"),
        curl(f"{base}/proxy/health"),
    ]

    assert {(a.status, a.json()["code"]) for a in answers} == {(404, "instance_not_found")}


def test_a_taken_name_is_409_without_regard_to_case(
    post: Post, definition: dict[str, Any], name: str
) -> None:
    post(f"/api/v1/instances/{name}?start=false", definition)

    answer = post(f"/api/v1/instances/{name.upper()}", definition)

    assert (answer.status, answer.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize("bad", ["-a", ".", "..", "a b", "ä", "a" * 129, ".hidden"])
def test_bad_names_are_400(post: Post, definition: dict[str, Any], bad: str) -> None:
    from urllib.parse import quote

    path = quote(bad).replace(".", "%2E")
    assert post(f"/api/v1/instances/{path}", definition).status in (400, 404)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ({"idle_timout": 5}, "idle_timeout"),
        ({"backend_type": "llama_cpp", "ctx_size": 1}, "ctx_size"),
        ({"backend_type": "nothing"}, "nothing"),
        ({"docker_enabled": True}, "no image is given"),
        ({"host": "0.0.0.0"}, "host"),
        ({"api_key": "x"}, "api_key"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"model": "--help"}, "flag"),
        ({"extra_args": ["--port", "1"]}, "--port"),
        ({"environment": {"A=B": "x"}}, "A=B"),
    ],
)
def test_bad_bodies_are_400_and_say_why(post: Post, name: str, body: Any, word: str) -> None:
    answer = post(f"/api/v1/instances/{name}", body)

    assert answer.status == 400
    assert word in answer.json()["error"]


@pytest.mark.parametrize(
    ("broken", "failure"),
    [
        ({"model": "/nowhere/m.gguf"}, "model_missing"),
        ({"model": "/etc/passwd"}, "model_invalid"),
        ({"extra_args": ["--no-such-flag", "3"]}, "bad_option"),
    ],
)
def test_a_start_that_fails_is_500_and_says_why(
    curl: Curl,
    post: Post,
    definition: dict[str, Any],
    name: str,
    broken: dict[str, Any],
    failure: str,
) -> None:
    answer = post(f"/api/v1/instances/{name}", {**definition, **broken})

    assert (answer.status, answer.json()["code"]) == (500, "start_failed")
    details = answer.json()["details"]
    assert details["class"] == failure, details
    assert details["exit_code"] not in (None, 0)
    assert details["log_tail"]
    assert curl(f"/api/v1/instances/{name}").json()["status"] == "failed"

    whole = dict.fromkeys(broken) | {"model": definition["model"]}
    mended = post(f"/api/v1/instances/{name}", whole, method="PUT")
    assert mended.status == 200
    assert curl("-X", "POST", f"/api/v1/instances/{name}/start?wait=true").status == 200


def test_update_merges_and_restarts_only_when_the_command_changes(
    curl: Curl, post: Post, definition: dict[str, Any], name: str
) -> None:
    path = f"/api/v1/instances/{name}"
    before = post(path, definition).json()

    calm = post(path, {"backend_options": {}, "idle_timeout": 5}, method="PUT").json()
    changed = post(path, {"ctx_size": 512}, method="PUT").json()
    removed = post(path, {"backend_options": {"ctx_size": None}}, method="PUT").json()

    assert (calm["pid"], calm["options"]["idle_timeout"]) == (before["pid"], 5)
    assert changed["status"] == "running"
    assert changed["pid"] != before["pid"]
    assert changed["port"] == before["port"]
    assert changed["options"]["backend_options"]["ctx_size"] == 512
    assert "ctx_size" not in removed["options"]["backend_options"]


def test_secrets_are_masked_and_survive_an_edit(
    post: Post, definition: dict[str, Any], name: str
) -> None:
    path = f"/api/v1/instances/{name}"
    given = {**definition, "environment": {"HF_TOKEN": "s3cret"}}

    made = post(f"{path}?start=false", given)
    back = post(path, {"environment": made.json()["options"]["environment"]}, method="PUT")

    assert "s3cret" not in made.text + back.text


@pytest.mark.parametrize("lines", ["0", "-2", "x", "1.5"])
def test_other_line_counts_are_400(
    curl: Curl, post: Post, definition: dict[str, Any], name: str, lines: str
) -> None:
    post(f"/api/v1/instances/{name}?start=false", definition)

    assert curl(f"/api/v1/instances/{name}/logs?lines={lines}").status == 400
    assert curl(f"/api/v1/instances/{name}/logs").status == 200


def test_the_story_of_an_instance_is_told(
    curl: Curl, post: Post, definition: dict[str, Any], name: str
) -> None:
    post(f"/api/v1/instances/{name}", definition)
    curl("-X", "POST", f"/api/v1/instances/{name}/stop?wait=true")

    story = curl(f"/api/v1/instances/{name}/events").json()

    states = [row["to_state"] for row in story]
    assert states == ["starting", "ready", "draining", "stopping", "stopped"]
    assert story[0]["cause"] == "created"


def test_a_log_is_followed_as_it_grows(
    served: Served, post: Post, definition: dict[str, Any], name: str
) -> None:
    post(f"/api/v1/instances/{name}", definition)

    with (
        served.client() as client,
        client.stream("GET", f"/api/v1/instances/{name}/logs?lines=1&follow=true") as log,
    ):
        lines = log.iter_lines()
        next(lines)
        post("/v1/completions", {"model": name, "prompt": "a", "max_tokens": 1})
        grown = next(line for line in lines if "print_timing" in line or "launch_slot" in line)

    assert grown
