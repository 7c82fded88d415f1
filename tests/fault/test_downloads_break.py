"""Downloads that are cut, refused, or outlived by nothing but their parts."""

from __future__ import annotations

import hashlib
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hub import Hub, hub
from support.served import Served, data_folder, serve
from support.waits import until

MODELS = "/api/v1/models"
DATA = random.Random(7).randbytes(3 << 20)
FILE = "tiny-Q4_K_M.gguf"


@pytest.fixture
def there() -> Iterator[Hub]:
    with hub() as made:
        made.repos["org/tiny"] = {FILE: DATA, "tiny-Q8_0.gguf": b"8" * 1000, "README.md": b"x"}
        yield made


def pulled(server: Served, model: str) -> dict[str, Any]:
    job = server.request("POST", f"{MODELS}/download", {"model": model})
    assert job.status_code == 202, job.text
    return ended(server, job.json()["id"])


def ended(server: Served, job_id: str) -> dict[str, Any]:
    """Follows its events to the end."""
    server.request("GET", f"{MODELS}/jobs/{job_id}/events")
    job: dict[str, Any] = server.request("GET", f"{MODELS}/jobs/{job_id}").json()
    return job


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def covered_once(ranges: list[tuple[int, int]], size: int) -> bool:
    return [end for _, end in ranges][:-1] == [start for start, _ in ranges][1:] and (
        ranges[0][0],
        ranges[-1][1],
    ) == (0, size)


def test_cut_ten_times_and_killed_once_no_byte_comes_twice(tmp_path: Path, there: Hub) -> None:
    data, cache = data_folder(tmp_path, ""), tmp_path / "hub"
    rng = random.Random(3)
    there.cuts.extend(rng.randrange(1, len(DATA) // 12) for _ in range(10))
    there.pause_at = len(DATA) // 12 * 11
    environment = there.environment(cache)
    with serve(data, environment) as server:
        server.request("POST", f"{MODELS}/download", {"model": "org/tiny"})
        assert there.paused.wait(60)
        part = cache / "models--org--tiny/blobs" / f"{hashlib.sha256(DATA).hexdigest()}.part"
        until("the part on disk", lambda: part.stat().st_size, lambda size: size >= there.pause_at)
        server.kill()
    there.pause_at, there.hangs_up = 0, True
    there.go_on.set()
    with serve(data, environment) as server:
        (job,) = server.request("GET", f"{MODELS}/jobs").json()
        job = ended(server, job["id"])

        assert (job["state"], job["error"]) == ("done", "")
        assert digest(job["path"]) == hashlib.sha256(DATA).hexdigest()
        assert len(there.ranges) == 12 and covered_once(there.ranges, len(DATA))
        (model,) = server.request("GET", MODELS).json()
        assert (model["name"], model["path"]) == ("org/tiny:Q4_K_M", job["path"])
        assert not part.exists()


def test_a_token_stays_with_the_hub(tmp_path: Path, there: Hub) -> None:
    there.gated.add("org/tiny")
    environment = there.environment(tmp_path / "hub")
    with serve(data_folder(tmp_path, ""), {**environment, "HF_TOKEN": "hf_good"}) as server:
        assert pulled(server, "org/tiny:q8_0")["state"] == "done"

    knew_it = {asked.host for asked in there.asked if asked.token}
    assert knew_it == {there.url.removeprefix("http://")}
    assert {asked.token for asked in there.asked} == {"Bearer hf_good", ""}


def test_what_can_not_be_had_says_why(tmp_path: Path, there: Hub) -> None:
    there.repos |= {"org/gated": {FILE: DATA}, "org/empty": {"README.md": b"x"}}
    there.gated.add("org/gated")
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        for model, words in (
            ("org/gated", "gated: accept its terms"),
            ("org/nothing", "the hub has no org/nothing"),
            ("org/tiny:Q2_K", "Q4_K_M, Q8_0"),
            ("org/tiny/none.gguf", "is not among the models"),
            ("org/empty", "no GGUF file"),
        ):
            job = pulled(server, model)
            assert job["state"] == "failed" and words in job["error"], job


def test_a_hub_that_falters_is_asked_again(tmp_path: Path, there: Hub) -> None:
    there.statuses.extend([429, 500, 503, 0])
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        assert pulled(server, "org/tiny")["state"] == "done"


def test_a_hub_without_ranges_begins_anew(tmp_path: Path, there: Hub) -> None:
    there.knows_ranges = False
    there.cuts.append(1000)
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        job = pulled(server, "org/tiny")

        assert (job["state"], job["done"]) == ("done", len(DATA))
        assert digest(job["path"]) == hashlib.sha256(DATA).hexdigest()


def test_a_part_that_is_wrong_is_fetched_again(tmp_path: Path, there: Hub) -> None:
    cache = tmp_path / "hub"
    blobs = cache / "models--org--tiny/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(DATA).hexdigest()}.part").write_bytes(b"wrong" * 1000)
    with serve(data_folder(tmp_path, ""), there.environment(cache)) as server:
        job = pulled(server, "org/tiny")

        assert (job["state"], job["done"]) == ("done", len(DATA))
        assert digest(job["path"]) == hashlib.sha256(DATA).hexdigest()


def test_a_cancelled_one_leaves_nothing(tmp_path: Path, there: Hub) -> None:
    cache = tmp_path / "hub"
    there.pause_at = 1 << 20
    with serve(data_folder(tmp_path, ""), there.environment(cache)) as server:
        job = server.request("POST", f"{MODELS}/download", {"model": "org/tiny"}).json()
        assert there.paused.wait(60)
        path = f"{MODELS}/jobs/{job['id']}"
        assert server.request("DELETE", path).status_code == 204
        assert server.request("GET", path).json()["state"] == "cancelled"
        assert server.request("DELETE", path).status_code == 204
        assert server.request("GET", path).status_code == 404
        there.go_on.set()

    assert [name for _, _, files in os.walk(cache) for name in files] == []


def test_no_path_leaves_the_cache(tmp_path: Path, there: Hub) -> None:
    names = ["../../etc/x.gguf", "a/../../x.gguf", "/x.gguf", "..", "a//b.gguf", "a\\b.gguf"]
    there.repos["org/evil"] = {name: DATA for name in names}
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        assert pulled(server, "org/evil")["state"] == "failed"
        for model in (*(f"org/evil/{name}" for name in names), "../../etc", "", "a/b\0c"):
            said = server.request("POST", f"{MODELS}/download", {"model": model})
            assert said.status_code in (202, 400)
            if said.status_code == 202:
                assert ended(server, said.json()["id"])["state"] == "failed"
    assert {p.name for p in tmp_path.iterdir()} <= {"data", "data.err", "hub"}


def test_what_has_no_room_is_not_begun(tmp_path: Path, there: Hub) -> None:
    there.claims[FILE] = 1 << 50
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        job = pulled(server, "org/tiny")

    assert job["state"] == "failed" and "free disk space" in job["error"]
    assert there.ranges == []


def test_what_does_not_fit_is_warned_of_and_comes(tmp_path: Path, there: Hub) -> None:
    data = data_folder(tmp_path, "instances: {memory_budget: 1000}")
    with serve(data, there.environment(tmp_path / "hub")) as server:
        job = pulled(server, "org/tiny")

    assert job["state"] == "done" and "but the limit is" in job["warning"]


def test_all_parts_and_the_projector_come(tmp_path: Path, there: Hub) -> None:
    parts = {f"Q8/m-Q8_0-0000{n}-of-00003.gguf": bytes([n]) * 1000 for n in (1, 2, 3)}
    there.repos["org/split"] = {**parts, "mmproj-F16.gguf": b"eyes", "mmproj-F32.gguf": b"more"}
    with serve(data_folder(tmp_path, ""), there.environment(tmp_path / "hub")) as server:
        assert pulled(server, "org/split")["total"] == 3004
        (model,) = server.request("GET", MODELS).json()

        assert [Path(file).name for file in model["files"]] == [Path(p).name for p in parts]
        assert model["mmproj"] is None or model["mmproj"].endswith("mmproj-F16.gguf")
        assert server.request("DELETE", f"{MODELS}?model={model['name']}").status_code == 204


def test_only_so_many_at_a_time(tmp_path: Path, there: Hub) -> None:
    there.repos["org/second"] = {"second-Q8_0.gguf": b"2" * 1000}
    there.pause_at = 1 << 20
    data = data_folder(tmp_path, "models: {max_downloads: 1}")
    with serve(data, there.environment(tmp_path / "hub")) as server:
        first, second = (
            server.request("POST", f"{MODELS}/download", {"model": f"org/{name}"}).json()["id"]
            for name in ("tiny", "second")
        )
        assert there.paused.wait(60)
        rows = {row["id"]: row["state"] for row in server.request("GET", f"{MODELS}/jobs").json()}
        assert rows == {first: "running", second: "queued"}
        again = server.request("POST", f"{MODELS}/download", {"model": "org/tiny"}).json()
        assert again["id"] == first
        there.go_on.set()
        assert [ended(server, job)["state"] for job in (first, second)] == ["done", "done"]


def test_it_goes_on_across_an_upgrade(tmp_path: Path, there: Hub) -> None:
    there.pause_at = 1 << 20
    cache = tmp_path / "hub"
    with serve(data_folder(tmp_path, ""), there.environment(cache)) as server:
        job = server.request("POST", f"{MODELS}/download", {"model": "org/tiny"}).json()
        assert there.paused.wait(60)
        part = cache / "models--org--tiny/blobs" / f"{hashlib.sha256(DATA).hexdigest()}.part"
        until("the part on disk", lambda: part.stat().st_size, lambda size: size >= there.pause_at)
        there.pause_at = 0
        server.upgrade()
        there.go_on.set()

        assert ended(server, job["id"])["state"] == "done"
        assert covered_once(there.ranges, len(DATA))


@pytest.fixture(params=["refuses", "silent", "offline", "nameless"])
def unreachable(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """The host of a hub that does not answer, and the settings by which it is asked."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        if request.param == "silent":
            listener.listen()
        if request.param == "nameless":
            host = "hub.invalid"
        more = {"HF_HUB_OFFLINE": "1"} if request.param == "offline" else {}
        yield host, {"HF_ENDPOINT": f"http://{host}", **more}


def test_a_hub_out_of_reach_is_named_and_what_to_do(
    tmp_path: Path, unreachable: tuple[str, dict[str, str]]
) -> None:
    host, settings = unreachable
    with serve(data_folder(tmp_path, ""), settings) as server:
        said = [
            pulled(server, "org/tiny")["error"],
            server.request("GET", f"{MODELS}/search?q=tiny").json()["error"],
            server.request("GET", f"{MODELS}/repository?repo=org/tiny").json()["error"],
        ]

    for error in said:
        assert f"the hub at {host}" in error
        assert "HF_ENDPOINT" in error or "unset" in error
