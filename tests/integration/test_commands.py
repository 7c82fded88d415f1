"""Any program with an HTTP server is an instance, as its options say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.engines import LLAMA_SERVER, use
from support.installed import PYTHON
from support.served import Served, data_folder, is_alive, serve

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"

# An app for uvicorn: a server that wants its model by one name, and its key, if it was given one.
APP = """
import json, os

KEY, MODEL = os.environ.get("APP_KEY"), os.environ.get("APP_MODEL")

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        part = await receive()
        body += part["body"]
        if not part.get("more_body"):
            break
    shown = dict(scope["headers"]).get(b"authorization", b"").decode()
    asked = json.loads(body).get("model") if body[:1] == b"{" else None
    if b'name="model"' in body:
        asked = body.split(b'name="model"')[1].split(b"\\r\\n")[2].decode()
    if scope["path"] == "/v1/query":
        status, answer = 200, {"query": scope["query_string"].decode()}
    elif scope["path"] == "/ready":
        status, answer = 200, {}
    elif KEY and shown != f"Bearer {KEY}":
        status, answer = 401, {"error": {"message": "whose are you?"}}
    elif not scope["path"].startswith("/v1/") or (MODEL and asked != MODEL):
        status, answer = 404, {"error": {"message": f"no {asked}"}}
    else:
        message = {"role": "assistant", "content": shown and "with a key" or "without a key"}
        status, answer = 200, {"model": asked, "choices": [{"index": 0, "message": message}]}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"""

# It has no path for health, and stops for one signal only.
STUBBORN = """
import http.server, json, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        key = sys.argv[sys.argv.index("--key") + 1] if "--key" in sys.argv else ""
        known = self.headers.get("authorization", "") == (f"Bearer {key}" if key else "")
        body = json.dumps({"model": "other", "known": known}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def stop(*_):
    print("stopped by its own signal", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, stop)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "app.py").write_text(APP)
    (folder / "stubborn.py").write_text(STUBBORN)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("commands"), "")) as server:
        yield server


def uvicorn(programs: Path, **options: Any) -> dict[str, Any]:
    args = ["-m", "uvicorn", "--app-dir", str(programs), "--port", "${PORT}", "app:app"]
    given = {"command": sys.executable, "args": args, "health_path": "/ready", **options}
    return {"backend_type": "command", "backend_options": given}


def stubborn(programs: Path, **options: Any) -> dict[str, Any]:
    given = {
        "command": sys.executable, "args": f"{programs / 'stubborn.py'} ${{PORT}}",
        "health_path": "none", "stop_signal": "USR1", **options,
    }  # fmt: skip
    return {"backend_type": "command", "backend_options": given}


def create(server: Served, name: str, body: dict[str, Any], *, start: bool = True) -> Any:
    answer = server.request("POST", f"{BASE}/{name}?start={start}", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def chat(server: Served, model: str, **more: Any) -> httpx.Response:
    message = {"role": "user", "content": "Hello!"}
    return server.request("POST", CHAT, {"model": model, "messages": [message], **more})


def test_a_request_starts_it_and_it_is_asked_for_the_model_by_its_own_name(
    server: Served, programs: Path
) -> None:
    body = uvicorn(programs, model="org/real", served_model="org/real", api_key_env="APP_KEY")
    body |= {"environment": {"APP_MODEL": "${MODEL}"}, "aliases": ["also-asgi"]}
    made = create(server, "asgi", body, start=False)

    answers = [chat(server, name) for name in ("asgi", "also-asgi")]
    by_path = server.request("POST", f"/upstream/asgi{CHAT}", {"model": "x"})
    with server.client() as client:
        speech = {"file": ("a.wav", b"RIFF")}
        form = client.post("/v1/audio/transcriptions", data={"model": "asgi"}, files=speech)
        query = client.get("/v1/query?model=asgi&x=1").json()["query"]

    assert made["status"] == "stopped"
    assert [a.json()["model"] for a in answers] == ["asgi", "also-asgi"], answers[0].text
    assert answers[0].json()["choices"][0]["message"]["content"] == "with a key"
    assert (by_path.status_code, by_path.json()["model"]) == (200, "asgi")
    assert (form.status_code, form.json()["model"], query) == (200, "asgi", "model=org%2Freal&x=1")
    row = server.instance("asgi")
    assert (row["status"], row["memory"]["shared"]) == ("running", 0)
    assert row["options"]["backend_options"] == body["backend_options"]


def test_one_that_knows_no_key_gets_none(server: Served, programs: Path) -> None:
    create(server, "keyless", uvicorn(programs))

    answer = chat(server, "keyless").json()

    assert answer["choices"][0]["message"]["content"] == "without a key"


def test_one_without_a_health_path_is_ready_once_it_accepts_and_stops_by_its_own_signal(
    server: Served, programs: Path
) -> None:
    made = create(server, "stubborn", stubborn(programs, api_key_flag="--key"))
    answer = chat(server, "stubborn").json()
    stopped = server.request("POST", f"{BASE}/stubborn/stop?wait=true")
    log = server.request("GET", f"{BASE}/stubborn/logs").text

    assert made["status"] == "running" and not made["message"]
    assert answer == {"model": "stubborn", "known": True}
    assert stopped.status_code == 200 and not is_alive(made["pid"])
    assert "stopped by its own signal" in log
    assert made["command"][-2] == "--key" and set(made["command"][-1]) == {"*"}
    assert f"--key {made['command'][-1]}" in log


@pytest.mark.parametrize(
    ("options", "failure", "words"),
    [
        ({"args": ["-c", "print('no luck'); exit(3)", "${PORT}"]}, "unknown", "no luck"),
        ({"command": "/no/such/program", "args": "${PORT}"}, "command_missing", "was not found"),
        ({"args": "-c 'raise OSError(\"Address already in use\")' ${PORT}"}, "port_taken",
         "already in use"),
    ],
)  # fmt: skip
def test_one_that_ends_says_why(
    server: Served, options: dict[str, Any], failure: str, words: str
) -> None:
    given = {"command": sys.executable, **options}
    body = {"backend_type": "command", "backend_options": given, "auto_restart": False}
    answer = server.request("POST", f"{BASE}/ends", body)
    row = server.instance("ends")
    server.request("DELETE", f"{BASE}/ends")

    assert answer.status_code == 500 and row["status"] == "failed", answer.text
    assert (row["failure"]["class"], words in str(row["failure"]["log_tail"])) == (failure, True)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_can_not_become_a_command_is_refused(
    server: Served, programs: Path, method: str
) -> None:
    name = "refused"
    if method == "PUT":
        create(server, name, stubborn(programs), start=False)
    given = {"command": "x", "args": ["--port", "${PROT}", "${PORT}"]}
    body = {"backend_type": "command", "backend_options": given}
    answer = server.request(method, f"{BASE}/{name}", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_option")
    assert "${PROT}" in answer.json()["error"] and "correct it" in answer.json()["error"]


def test_llama_cpps_own_server_is_one(server: Served, tiny_model: Path) -> None:
    with use(LLAMA_SERVER) as engine:
        given = {
            "command": engine.argv[0], "args": "--host 127.0.0.1 --port ${PORT} -m ${MODEL} -c 512",
            "model": str(tiny_model), "api_key_env": "LLAMA_API_KEY",
        }  # fmt: skip
        body = {"backend_type": "command", "backend_options": given,
                "environment": {**engine.environment}}  # fmt: skip
        create(server, "real", body)
        answer = chat(server, "real", max_tokens=4).json()
        server.request("DELETE", f"{BASE}/real")

    assert answer["model"] == "real" and answer["usage"]["completion_tokens"] == 4


def test_its_options_are_listed_and_read_from_a_command_line(server: Served) -> None:
    path = "/api/v1/backends/command"
    rows = server.request("GET", f"{path}/options").json()
    found = server.request("POST", f"{path}/parse-command", {"command": "my-server -p 80"}).json()
    kinds = server.request("GET", "/api/v1/system").json()["backends"]

    assert {"command", "args", "health_path", "stop_signal"} <= {row["name"] for row in rows}
    assert all(row["help"] for row in rows)
    assert found["options"] == {
        "backend_type": "command",
        "backend_options": {"command": "my-server", "args": ["-p", "${PORT}"]},
    }
    shown = {row["name"]: (row["available"], row["default"]) for row in kinds}
    assert shown == {"llama-cpp": (True, True), "command": (True, False), "vllm": (True, False),
                     "mlx": (True, False),
                     "transformers": (True, False)}  # fmt: skip


def test_the_command_line_makes_one_and_a_set_carries_it(server: Served, programs: Path) -> None:
    words = ["create", "typed", "--backend", "command", "--no-start", f"command={sys.executable}",
             f"args={programs}/stubborn.py ${{PORT}}", "health_path=none",
             "priority=2"]  # fmt: skip
    made = subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(server.data_dir)},
    )  # fmt: skip
    row = server.instance("typed")
    saved = server.request("GET", "/api/v1/config/instances").json()
    changed = json.loads(json.dumps(saved))
    changed["instances"]["typed"]["backend_options"]["stop_signal"] = "SIGINT"
    plan = server.request("PUT", "/api/v1/config/instances", changed)

    assert made.returncode == 0, made.stderr
    assert row["options"] == saved["instances"]["typed"]
    assert (row["options"]["backend_type"], row["options"]["priority"]) == ("command", 2)
    assert plan.status_code == 200, plan.text
    after = server.instance("typed")["options"]["backend_options"]
    assert (after["stop_signal"], after["health_path"]) == ("SIGINT", "none")


def test_the_prefix_of_another_backend_does_not_lead_to_it(server: Served, programs: Path) -> None:
    create(server, "elsewhere", stubborn(programs), start=False)
    answer = server.request("POST", f"/llama-cpp/elsewhere{CHAT}", {"model": "x"})

    assert answer.status_code == 404 and "/upstream/elsewhere/" in answer.json()["error"]


def test_each_backend_has_its_own_response_headers(tmp_path: Path, programs: Path) -> None:
    settings = (
        "backends:\n  llama-cpp: {response_headers: {X-Of: llama}}\n"
        f"  command: {{command: {sys.executable}, response_headers: {{X-Of: command}}}}\n"
    )
    with serve(data_folder(tmp_path, settings)) as server:
        body = stubborn(programs)
        del body["backend_options"]["command"]  # as the settings have it
        create(server, "one", body)
        answer = chat(server, "one")

    assert (answer.status_code, answer.headers["x-of"]) == (200, "command")
