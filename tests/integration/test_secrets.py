"""What is secret is shown to nobody, on no way, and is not lost by what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fake_engine import ENGINE, create_fake, wrapper
from support.instance_ports import instance_ports
from support.served import Served, data_folder, serve
from support.shared import Servers

BASE = "/api/v1/instances"
PLAIN = {"image_min_tokens": 64, "image_max_tokens": 512, "cache_type_k": "q8_0", "keep": 4}
DEFINITION: dict[str, Any] = {
    "backend_options": {
        "model": "any", "hf_token": "zq-hf", "lora": ["a.gguf", "https://h/b?token=zq-lora"],
        "mmproj_url": "https://u:zq-user@h/m.gguf?key=zq-query",
        "extra_args": ["--header", "Authorization: Bearer zq-bearer", "--x-key=zq-flag",
                       "-e", "MY_VAR=zq-variable", "--y-secret", "zq-word", "--verbose",
                       "--z", '{"api_key": "zq-json"}'],
        **PLAIN,
    },
    "environment": {"ANYTHING": "zq-environment"},
    "default_params": {"max_tokens": 5, "tools": [{"authorization": "zq-tool", "n": [1]}]},
    "set_params": {"metadata": {"api_key": "zq-nested"}, "user": "u"},
}  # fmt: skip
SETTINGS = {
    "backends": {
        "llama-cpp": {
            "args": ["--hf-token", "zq-args", "--w-password", "zq-settings"],
            "environment": {"E": "zq-env"},
            "response_headers": {"X-Who": "zq-header", "Cache-Control": "no-store"},
        }
    }
}


def made(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder with these settings, and the scripted engine."""
    engine = wrapper(tmp_path / "engine", sys.executable, ENGINE)
    SETTINGS["backends"]["llama-cpp"]["command"] = str(engine)
    return data_folder(tmp_path, yaml.safe_dump(SETTINGS)), engine


def cli(server: Served, *words: str, stdin: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)]
    env = {"HOME": str(server.data_dir), "PATH": "/usr/bin:/bin", **instance_ports()}
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=env, cwd=server.data_dir,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def first_message(server: Served) -> str:
    with server.client() as client, client.stream("GET", "/api/v1/live") as live:
        return next(line for line in live.iter_lines() if line.startswith("data:"))


def test_no_secret_is_shown_anywhere(tmp_path: Path) -> None:
    data, _ = made(tmp_path)
    with serve(data) as server:
        create = server.request("POST", f"{BASE}/one", DEFINITION)
        assert create.status_code == 201, create.text
        said = {
            "create": create.text,
            "live": first_message(server),
            "update": server.request("PUT", f"{BASE}/one", {"backend_options": {}}).text,
            "preview": server.request("POST", f"{BASE}/one/preview", {"keep": 5}).text,
            "plan": server.request("POST", f"{BASE}/one/plan").text,
            "page": server.request("GET", "/").text,
        }
        paths = (BASE, f"{BASE}/one", f"{BASE}/one/logs", f"{BASE}/one/events", "/running",
                 "/api/v1/activity", "/api/v1/config/instances", "/api/v1/config/settings",
                 "/api/v1/doctor", "/api/v1/system", "/api/v1/models", "/v1/models", "/metrics",
                 "/api/tags", "/api/ps", "/swagger/openapi.json")  # fmt: skip
        said |= {path: server.request("GET", path).text for path in paths}
        said["show"] = server.request("POST", "/api/show", {"model": "one"}).text
        for words in (["export"], ["show", "one"], ["config", "show", "--json"], ["doctor"], ["ps"],
                      ["events", "one"], ["logs", "one"], ["plan", "one"]):  # fmt: skip
            said[" ".join(words)] = cli(server, *words)[1]
        said["log"] = (data.parent / f"{data.name}.err").read_text()

        leaks = {way: text[max(0, at - 60) : at + 20] for way, text in said.items()
                 if (at := text.find("zq-")) >= 0}  # fmt: skip
        assert leaks == {}
        shown = server.instance("one")["options"]["backend_options"]
        assert {name: shown[name] for name in PLAIN} == PLAIN
        settings = {row["key"]: row["value"]
                    for row in json.loads(said["/api/v1/config/settings"])}  # fmt: skip
        assert settings["backends.llama-cpp.response_headers.Cache-Control"] == "no-store"
        assert settings["backends.llama-cpp.args"][::2] == ["--hf-token", "--w-password"]


def test_what_is_shown_can_be_given_back_whole(tmp_path: Path) -> None:
    data, _ = made(tmp_path)
    with serve(data) as server:
        pid = server.request("POST", f"{BASE}/one", DEFINITION).json()["pid"]
        _, whole = cli(server, "export", "--secrets")
        kept = yaml.safe_load(whole)["instances"]["one"]
        assert kept == {"backend_type": "llama_cpp", **DEFINITION}

        assert cli(server, "apply", "-f", "-", stdin=cli(server, "export")[1]) == (0, "")
        assert cli(server, "export", "--secrets") == (0, whole)
        back = server.request("PUT", f"{BASE}/one", server.instance("one")["options"])
        assert (back.status_code, back.json()["pid"]) == (200, pid)
        assert cli(server, "export", "--secrets") == (0, whole)

        changed = server.instance("one")["options"]["backend_options"]["extra_args"]
        args = ["--verbose-first", *changed]
        server.request("PUT", f"{BASE}/one", {"backend_options": {"extra_args": args}})
        stored = yaml.safe_load(cli(server, "export", "--secrets")[1])["instances"]["one"]
        assert stored["backend_options"]["extra_args"] == [
            "--verbose-first", *DEFINITION["backend_options"]["extra_args"],
        ]  # fmt: skip
        lost = server.request("POST", f"{BASE}/two?start=false", server.instance("one")["options"])
        assert (lost.status_code, "no stored value" in lost.json()["error"]) == (400, True)


def test_secrets_that_an_engine_reads_from_its_environment_are_not_in_its_argv(
    tmp_path: Path,
) -> None:
    data, _ = made(tmp_path)
    with serve(data) as server:
        options = {"model": "any", "mmproj_url": "https://u:zq-user@h/m?key=zq-query"}
        for name, more, token in (
            ("settings", {}, "zq-args"),
            ("option", {"hf_token": "zq-hf"}, "zq-hf"),
            ("word", {"hft": "zq-hf", "extra_args": ["-hft", "zq-word"]}, "zq-word"),
            ("equals", {"extra_args": ["--hf-token=zq-equals"]}, "zq-equals"),
        ):
            body = {"backend_options": {**options, **more}, "environment": {"HF_TOKEN": "zq-less"}}
            created = server.request("POST", f"{BASE}/{name}", body).json()
            process = Path(f"/proc/{created['pid']}")
            argv = process.joinpath("cmdline").read_bytes().split(b"\0")
            environ = process.joinpath("environ").read_bytes().split(b"\0")

            assert [word for word in argv if b"zq-" in word] == [b"zq-settings"], name
            assert f"HF_TOKEN={token}".encode() in environ, name
            assert b"LLAMA_ARG_MMPROJ_URL=https://u:zq-user@h/m?key=zq-query" in environ


def test_what_a_failed_engine_wrote_tells_no_secret(tmp_path: Path) -> None:
    data, engine = made(tmp_path)
    engine.write_text('#!/bin/sh\necho "error: bad $HF_TOKEN in $E, or $*"\nexit 1\n')
    with serve(data) as server:
        body = {"backend_options": DEFINITION["backend_options"], "auto_restart": False}
        failed = server.request("POST", f"{BASE}/one", body)
        story = server.request("GET", f"{BASE}/one/events").text

        assert failed.status_code == 500
        assert "error: bad ********" in failed.text
        assert "zq-hf" not in failed.text + story + json.dumps(server.instance("one"))
        assert "zq-flag" not in failed.text + story and "zq-bearer" not in failed.text + story


@pytest.mark.parametrize(
    "body",
    [{"hf_token": "-zq-secret"}, {"extra_args": ["--api-key=zq-secret"]},
     {"model": "m", "command_override": "/nowhere --token zq-secret"}],
)  # fmt: skip
def test_a_refusal_tells_no_secret(servers: Servers, body: dict[str, Any]) -> None:
    with servers() as server:
        refused = server.request("POST", f"{BASE}/one", body)
        later = server.request("GET", BASE).text

    assert refused.status_code in (400, 500), refused.text
    assert "zq-secret" not in refused.text + later


def test_a_settings_file_that_cannot_be_read_is_not_quoted(tmp_path: Path) -> None:
    data = data_folder(tmp_path, 'auth: {management_keys: ["zq-secret" "b"]}\n')
    words = [sys.executable, "-m", "llamactl", "config", "check"]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=data, check=False,
        env={**os.environ, "HOME": str(data)},
    )  # fmt: skip

    assert done.returncode == 1
    assert "line " in done.stderr and "zq-secret" not in done.stdout + done.stderr


def test_the_command_of_a_missing_engine_is_for_management_keys_alone(
    servers: Servers, tmp_path: Path
) -> None:
    with servers() as server:
        body = {"model": "m", "command_override": "/nowhere/engine"}
        create_fake(server, tmp_path, "other", start=False)
        server.request("POST", f"{BASE}/one", body)
        key = server.request("POST", "/api/v1/auth/keys", {"name": "k"}).json()["key"]

        seen = server.request("POST", "/v1/completions", {"model": "one"}, key=key).text
        told = server.request("POST", f"{BASE}/one/start?wait=true").text

    assert "start_failed" in seen and "/nowhere" not in seen
    assert "/nowhere/engine" in told


WAYS = ("/v1/chat/completions", "/completion", "/v1/embeddings")


def test_what_a_key_may_not_use_is_not_named_to_it(servers: Servers, tmp_path: Path) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "Mine", start=False)
        create_fake(server, tmp_path, "Hidden-Name", start=False, aliases=["Other-Alias"])
        wanted = {"name": "k", "permission_mode": "per_instance", "instances": ["Mine"]}
        key = server.request("POST", "/api/v1/auth/keys", wanted).json()["key"]

        def said(method: str, path: str, body: Any = None) -> tuple[int, str]:
            answer = server.request(method, path, body, key=key)
            return answer.status_code, answer.text + str(answer.headers)

        for asked, hidden in (("OTHER-alias", "Hidden-Name"), ("hidden-name", "Other-Alias")):
            statuses = set()
            found = [said("POST", path, {"model": asked, "input": "", "prompt": ""})
                     for path in WAYS]  # fmt: skip
            found += [said("POST", f"/{kind}/{asked}/v1/chat/completions", {})
                      for kind in ("upstream", "llama-cpp")]  # fmt: skip
            found += [said("GET", f"/v1/models/{asked}"), said("GET", "/v1/models"),
                      said("POST", "/api/chat", {"model": asked, "messages": [{"role": "user"}]}),
                      said("POST", "/api/show", {"model": asked}), said("GET", "/running"),
                      said("GET", "/api/ps"), said("GET", "/api/tags"),
                      said("POST", f"/api/models/unload/{asked}"),
                      said("GET", f"/api/v1/instances/{asked}"), said("GET", "/api/v1/instances"),
                      said("POST", f"/api/v1/instances/{asked}/proxy/x", {})]  # fmt: skip
            statuses |= {status for status, _ in found}
            for status, text in found:
                assert hidden not in text, (asked, text)
                assert "Hidden-Name" not in text and "Other-Alias" not in text, (status, text)
            assert statuses <= {200, 403, 404}, statuses
