"""Aliases, and parameters that are changed on the way."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.fake_engine import arrived, create_fake
from support.served import Served, data_folder, serve

BASE = "/api/v1/instances"


def seen(server: Served, body: dict[str, Any] | bytes) -> bytes:
    """The body that the engine got."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with server.client() as client:
        answer = client.post("/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return arrived(answer.json())[1]


def test_an_alias_is_a_name_for_requests(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
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


def test_by_an_alias_it_is_managed_as_by_its_name(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
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


def test_of_many_who_want_an_alias_at_once_one_gets_it(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server, ThreadPoolExecutor(8) as pool:
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


def test_parameters_are_put_in_and_taken_out(tmp_path: Path) -> None:
    changes: Any = {"default_params": {"top_k": 5}, "set_params": {"temperature": 0.5},
               "strip_params": ["seed"]}  # fmt: skip
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "one", **changes)
        given = {"model": "one", "temperature": 9, "seed": 1, "messages": [{"content": "é"}]}
        small = json.loads(seen(server, given))
        large = json.loads(seen(server, {**given, "padding": "x" * (3 << 20)}))
        own = json.loads(seen(server, {"model": "one", "top_k": 1}))

    wanted = {"model": "one", "temperature": 0.5, "messages": [{"content": "é"}], "top_k": 5}
    assert small == wanted
    assert large == {**wanted, "padding": "x" * (3 << 20)}
    assert own["top_k"] == 1


def test_without_filters_not_a_byte_is_changed(tmp_path: Path) -> None:
    body = b'{ "model" : "one",\n "seed":1.0e0, "b":"\\u00e9" }'
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "one", aliases=["uno"])
        assert seen(server, body) == body


def test_what_is_no_filter_is_refused(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        for bad in ({"aliases": "x"}, {"aliases": ["a b"]}, {"aliases": ["a", "A"]},
                    {"strip_params": ["model"]}, {"set_params": [1]},
                    {"default_params": {"x": "y" * 70_000}}):  # fmt: skip
            said = server.request("POST", f"{BASE}/one?start=false", {"model": "x", **bad})
            assert said.status_code == 400, (bad, said.text)
