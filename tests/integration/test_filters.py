"""Aliases, and parameters that are changed on the way."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.engines import Engine
from support.fake_engine import arrived, create_fake
from support.served import Served, data_folder, serve
from support.shared import Servers

BASE = "/api/v1/instances"


def seen(server: Served, body: dict[str, Any] | bytes) -> bytes:
    """The body that the engine got."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with server.client() as client:
        answer = client.post("/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return arrived(answer.json())[1]


def test_an_alias_is_a_name_for_requests(servers: Servers, tmp_path: Path) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "one", aliases=["gpt-4o", "org/Model:tag"])
        for model in ("one", "GPT-4o", "org/model:tag"):
            assert json.loads(seen(server, {"model": model})) == {"model": model}
        taken = server.request("POST", f"{BASE}/gpt-4o", {"model": "x"})
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
        taken = server.request(
            "POST", f"{BASE}/two?start=false", {"model": "x", "aliases": ["One"]}
        )
        assert taken.status_code == 409
        (row,) = server.request("GET", "/v1/models").json()["data"]
        assert (row["id"], row["aliases"]) == ("one", ["gpt-4o", "org/Model:tag"])

        pid = server.instance("one")["pid"]
        changed = server.request("PUT", f"{BASE}/one", {"backend_options": {}, "aliases": ["uno"]})
        assert (changed.status_code, changed.json()["pid"]) == (200, pid)
        assert server.request("POST", "/v1/completions", {"model": "gpt-4o"}).status_code == 404
        assert json.loads(seen(server, {"model": "uno"})) == {"model": "uno"}
        server.request("DELETE", f"{BASE}/one")
        assert server.request("POST", "/v1/completions", {"model": "uno"}).status_code == 404


def test_by_an_alias_it_is_managed_as_by_its_name(servers: Servers, tmp_path: Path) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "one", aliases=["uno"])
        assert server.instance("UNO")["name"] == "one"
        assert server.request("GET", "/v1/models/uno").json()["id"] == "one"
        assert server.request("POST", f"{BASE}/uno/stop?wait=true").json()["status"] == "stopped"
        assert server.request("POST", f"{BASE}/uno/start?wait=true").json()["name"] == "one"
        assert server.request("GET", f"{BASE}/uno/logs?lines=1").status_code == 200
        key = {"name": "k", "permission_mode": "per_instance", "instances": ["uno"]}
        made = server.request("POST", "/api/v1/auth/keys", key).json()
        with server.client(made["key"]) as client:
            asked = {"model": "one"}
            assert client.post("/v1/completions", json=asked).status_code == 200
        assert server.request("DELETE", f"{BASE}/uno").status_code == 204
        assert server.request("GET", BASE).json() == []
        assert server.request("GET", f"{BASE}/one").status_code == 404
        create_fake(server, tmp_path, "uno")  # name and alias are free again


def test_of_many_who_want_an_alias_at_once_one_gets_it(servers: Servers) -> None:
    with servers() as server, ThreadPoolExecutor(8) as pool:
        body = {"model": "x", "aliases": ["wanted"]}

        def create(n: int) -> int:
            return server.request("POST", f"{BASE}/i{n}?start=false", body).status_code

        def update(n: int) -> int:
            change = {"backend_options": {}, "aliases": ["wished"]}
            return server.request("PUT", f"{BASE}/j{n}", change).status_code

        for n in range(8):
            server.request("POST", f"{BASE}/j{n}?start=false", {"model": "x"})
        for work, good in ((create, 201), (update, 200)):
            assert sorted(pool.map(work, range(8))) == [good, *[409] * 7]
        owner = next(
            row["name"]
            for row in server.request("GET", BASE).json()
            if "wanted" in row["options"].get("aliases", ())
        )
        server.request("DELETE", f"{BASE}/{owner}")
        assert create(9) == 201  # it is free again


def test_parameters_are_put_in_and_taken_out(servers: Servers, tmp_path: Path) -> None:
    changes: Any = {"default_params": {"top_k": 5}, "set_params": {"temperature": 0.5},
               "strip_params": ["seed"]}  # fmt: skip
    with servers() as server:
        create_fake(server, tmp_path, "one", **changes)
        given = {"model": "one", "temperature": 9, "seed": 1, "messages": [{"content": "é"}]}
        small = json.loads(seen(server, given))
        large = json.loads(seen(server, {**given, "padding": "x" * (3 << 20)}))
        own = json.loads(seen(server, {"model": "one", "top_k": 1}))

    wanted = {"model": "one", "temperature": 0.5, "messages": [{"content": "é"}], "top_k": 5}
    assert small == wanted
    assert large == {**wanted, "padding": "x" * (3 << 20)}
    assert own["top_k"] == 1


@pytest.mark.parametrize("padding", [0, 200_000, 3 << 20])
def test_what_is_set_holds_on_every_way_in(servers: Servers, tmp_path: Path, padding: int) -> None:
    """Also where the path names the instance, and whatever content type it comes with."""
    changes: Any = {"set_params": {"max_tokens": 7}, "strip_params": ["seed"]}
    body = {"model": "one", "max_tokens": 9, "n_predict": 8, "max_completion_tokens": 6, "seed": 1,
            "stop": ["x" * padding]}  # fmt: skip
    with servers() as server:
        create_fake(server, tmp_path, "one", aliases=["uno"], **changes)
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/new", "/chat/completions",
                     "/upstream/one/v1/chat/completions", "/llama-cpp/UNO/completion",
                     f"{BASE}/one/proxy/v1/completions"):  # fmt: skip
            for kind in ("application/json", "text/plain"):
                for chunked in (False, True):
                    sent = json.dumps(body).encode()
                    content = iter([sent[:20], sent[20:]]) if chunked else sent
                    with server.client() as client:
                        answer = client.post(path, content=content, headers={"content-type": kind})
                    assert answer.status_code == 200, (path, kind, answer.text)
                    got = json.loads(arrived(answer.json())[1])
                    assert got == {"model": "one", "stop": body["stop"], "max_tokens": 7}, path


def test_a_default_counts_only_where_no_name_of_the_parameter_is_there(
    servers: Servers, tmp_path: Path
) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "one", default_params={"max_tokens": 7})
        assert json.loads(seen(server, {"model": "one"}))["max_tokens"] == 7
        for name in ("n_predict", "max_completion_tokens"):
            assert json.loads(seen(server, {"model": "one", name: 3})) == {"model": "one", name: 3}


def test_a_filter_can_not_be_passed_by(servers: Servers, tmp_path: Path) -> None:
    """By an escaped name, a second one, a second model, or compression."""
    with servers() as server:
        create_fake(server, tmp_path, "one", set_params={"seed": 1}, strip_params=["stop"])
        for size in (0, 200_000):
            pad = b'"pad":"' + b"x" * size + b'",'
            body = b'{"model":"one",%b"\\u0073eed":2,"seed":3,"st\\u006fp":1,"stop":2}' % pad
            assert json.loads(seen(server, body)) == {"model": "one", "pad": "x" * size, "seed": 1}
            twice = b'{%b"model":"one","mod\\u0065l":"two"}' % pad
            for path in ("/v1/completions", "/upstream/one/v1/completions"):
                with server.client() as client:
                    said = client.post(path, content=twice)
                    assert (said.status_code, said.json()["code"]) == (400, "malformed_body")
                    said = client.post(path, content=body, headers={"content-encoding": "gzip"})
                    assert said.status_code == 415, said.text


def test_without_filters_not_a_byte_is_changed(servers: Servers, tmp_path: Path) -> None:
    body = b'{ "model" : "one",\n "seed":1.0e0, "b":"\\u00e9" }'
    with servers() as server:
        create_fake(server, tmp_path, "one", aliases=["uno"])
        assert seen(server, body) == body


def test_what_is_no_filter_is_refused(servers: Servers) -> None:
    with servers() as server:
        for bad in ({"aliases": "x"}, {"aliases": ["a b"]}, {"aliases": ["a", "A"]},
                    {"strip_params": ["model"]}, {"set_params": [1]},
                    {"default_params": {"x": "y" * 70_000}}):  # fmt: skip
            said = server.request("POST", f"{BASE}/one?start=false", {"model": "x", **bad})
            assert said.status_code == 400, (bad, said.text)


@pytest.mark.both_engines
def test_a_variant_is_the_same_engine_with_other_parameters(
    tmp_path: Path, tiny_model: Path, engine: Engine
) -> None:
    folder = data_folder(tmp_path, "")
    variants = {"one:short": {"set_params": {"max_tokens": 1}}}
    with serve(folder) as server:
        body = {"model": str(tiny_model), "variants": variants}
        server.request("POST", f"{BASE}/one?wait=true", body).raise_for_status()
        asked = {"prompt": "a", "max_tokens": 5, "ignore_eos": True}
        for model, tokens in (("one", 5), ("one:short", 1)):
            answer = server.request("POST", "/v1/completions", {"model": model, **asked}).json()
            assert (answer["model"], answer["usage"]["completion_tokens"]) == (model, tokens)
        taken = server.request("POST", f"{BASE}/two?start=false", {**body, "aliases": []})
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    with serve(folder) as server:
        rows = server.request("GET", "/v1/models").json()["data"]
        assert [row["id"] for row in rows] == ["one", "one:short"]
