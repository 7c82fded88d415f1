"""Each live setting is changed on a running server, and its new value is seen to be in force.

One server for all of them. It starts from settings under which nothing would happen by itself.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from llamactl.backends import BACKENDS, BY_SECTION
from llamactl.config import Settings, fields_of
from support import vllm_replay
from support.fake_engine import begin_stream, create_fake, play, raw, wrapper
from support.instance_ports import instance_ports
from support.load import Load
from support.served import Served, data_folder, is_alive, serve
from support.uncached import forgotten, is_cached, uncached

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LONG_S = 600
DEADLINE_S = 30
AS_STARTED: dict[str, Any] = {
    "instances.default_restart_delay": 100,
    "instances.drain_timeout": LONG_S,
    "instances.eviction_drain_timeout": LONG_S,
    "instances.stop_timeout": LONG_S,
    "instances.health_interval": LONG_S,
    "instances.unhealthy_after": 100 * LONG_S,
}
NVML = """
from types import SimpleNamespace
class NVMLError(Exception): ...
def nvmlInit(): ...
def nvmlShutdown(): ...
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(number): return number
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(total=1 << 40)
def nvmlDeviceGetUUID(handle): return f"GPU-{handle}"
def nvmlDeviceGetComputeRunningProcesses(handle): return []
"""
# A program whose help tells of its first argument and of a variable.
HELP = """#!/bin/sh
echo "  --$(basename $0)-${1:-none}-${MARK:-none} N   an option"
echo "  --model MODEL"
echo "  --served-model-name NAME"
echo "  --port PORT"
echo "  --host HOST"
"""


def tree(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of keys with dots."""
    root: dict[str, Any] = {}
    for key, value in values.items():
        at, (*sections, name) = root, key.split(".")
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    return root


def until(holds: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < ends, f"not within {DEADLINE_S} s: {what}"


class Live:
    """A running server whose settings file is changed."""

    def __init__(self, server: Served, folder: Path, model: Path, as_started: dict[str, Any]):
        self.server = server
        self.folder = folder
        self.model = model
        self.as_started = as_started
        self._set: Mapping[str, Any] = as_started

    def set(self, values: Mapping[str, Any]) -> list[str]:
        """Reload with these, and all others as they were at the start; what restarts."""
        said = self.reload(values)
        assert said["needs_restart"] == []
        new = {key for key, value in values.items() if self._set.get(key) != value}
        assert new <= set(said["settings"]), said
        self._set = values
        restart: list[str] = said["restart"]
        return restart

    def reload(self, values: Mapping[str, Any]) -> Any:
        file = self.server.data_dir / "llamactl.yaml"
        file.write_text(json.dumps(tree({**self.as_started, **values})))
        answer = self.server.request("POST", "/api/v1/config/reload")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def limits(self, **values: Any) -> list[str]:
        return self.set({f"instances.{name}": value for name, value in values.items()})

    def create(self, name: str, **more: Any) -> dict[str, Any]:
        return create_fake(self.server, self.folder, name, **more)

    def post(self, name: str, what: str, **query: Any) -> httpx.Response:
        return self.server.request("POST", f"{BASE}/{name}/{what}", params=query)

    def plan(self, name: str) -> Any:
        return self.post(name, "plan").json()

    def preview(self, **options: Any) -> Any:
        return self.server.request("POST", f"{BASE}/one/preview", {"model": "x"} | options).json()

    def preview_of(self, backend_type: str) -> Any:
        body = {"backend_type": backend_type, "backend_options": {"model": "x"}}
        return self.server.request("POST", f"{BASE}/new/preview", body).json()

    def ask(self, name: str) -> httpx.Response:
        return self.server.request("POST", CHAT, {"model": name})

    def until(self, name: str, *states: str) -> Any:
        """The instance, in one of these states."""
        until(lambda: self.server.instance(name)["state"] in states, f"{name} is {states}")
        return self.server.instance(name)

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """While it answers a request."""
        with raw(self.server) as client:
            begin_stream(self.server, client, name)
            yield

    def clean(self) -> None:
        for row in self.server.request("GET", BASE).json():
            self.server.request("DELETE", f"{BASE}/{row['name']}?force=true")
        self.reload({})
        self._set = self.as_started


@pytest.fixture(scope="module")
def served_live(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    (folder / "pynvml.py").write_text(NVML)
    given = instance_ports().get("LLAMACTL_INSTANCE_PORT_RANGE", "8000-8499")
    low, high = map(int, given.split("-"))
    as_started = {**AS_STARTED, "instances.port_range": [low, high - 10]}
    data = data_folder(folder, json.dumps(tree(as_started)))
    variables = {"LLAMACTL_INSTANCE_PORT_RANGE": None, "PYTHONPATH": str(folder)}
    with serve(data, variables) as server:
        yield Live(server, folder, tiny_model, as_started)


@pytest.fixture
def live(served_live: Live) -> Iterator[Live]:
    yield served_live
    served_live.clean()


Proof = Callable[[Live], None]
PROOFS: dict[str, Proof] = {}


def proves(*keys: str) -> Callable[[Proof], Proof]:
    def keep(proof: Proof) -> Proof:
        PROOFS.update(dict.fromkeys(keys, proof))
        return proof

    return keep


@proves("instances.port_range")
def engines_get_ports_of_it(live: Live) -> None:
    high = live.as_started["instances.port_range"][1] + 1
    assert live.create("before")["port"] < high
    live.limits(port_range=[high, high + 9])
    assert high <= live.create("after")["port"] <= high + 9


@proves("instances.max_instances")
def no_more_are_created(live: Live) -> None:
    live.create("one", start=False)
    live.limits(max_instances=1)
    body = {"model": "any"}
    refused = live.server.request("POST", f"{BASE}/two?start=false", body)
    assert (refused.status_code, "max_instances is 1" in refused.text) == (409, True)


@proves("instances.max_running_instances")
def no_more_are_started(live: Live) -> None:
    live.create("one")
    live.create("two", start=False)
    assert live.plan("two")["action"] == "start"
    live.limits(max_running_instances=1)
    assert live.post("two", "start").status_code == 409


@proves("instances.group_limits")
def no_more_of_a_group_are_started(live: Live) -> None:
    live.create("one", group="g")
    live.create("two", group="g", start=False)
    live.limits(group_limits={"g": 1})
    assert live.post("two", "start").status_code == 409


@proves("instances.enable_lru_eviction")
def requests_evict_nothing(live: Live) -> None:
    live.create("one")
    live.create("two", start=False)
    live.limits(max_running_instances=1)
    until(lambda: live.plan("two")["action"] == "evict", "a request would evict")
    live.limits(max_running_instances=1, enable_lru_eviction=False)
    assert live.plan("two")["action"] == "refuse"


@proves("instances.min_residency")
def a_busy_one_is_evicted_at_once(live: Live) -> None:
    live.create("one")
    live.create("two", start=False)
    live.limits(max_running_instances=1, min_residency=LONG_S)
    with live.busy("one"):
        assert live.plan("two")["action"] == "wait"
        live.limits(max_running_instances=1, min_residency=0)
        until(lambda: live.plan("two")["action"] == "evict", "its turn is over")


@proves("instances.default_idle_timeout")
def what_runs_is_idle_later(live: Live) -> None:
    live.create("one")
    assert live.server.instance("one")["idle_left_s"] <= 30 * 60
    live.limits(default_idle_timeout=1000)
    assert 59_000 < live.server.instance("one")["idle_left_s"] <= 60_000


def after_a_crash(live: Live) -> Any:
    made = live.create("one")
    os.kill(made["pid"], signal.SIGSEGV)
    return live.until("one", "failed", "backoff")


@proves("instances.default_auto_restart")
def a_crash_is_final(live: Live) -> None:
    live.limits(default_auto_restart=False)
    assert after_a_crash(live)["state"] == "failed"


@proves("instances.default_max_restarts")
def a_crash_is_one_too_many(live: Live) -> None:
    live.limits(default_max_restarts=0)
    assert after_a_crash(live)["state"] == "failed"


@proves("instances.default_restart_delay")
def a_restart_takes_longer(live: Live) -> None:
    live.limits(default_restart_delay=200)
    assert after_a_crash(live)["state"] == "backoff"
    assert live.plan("one")["wait_s"] > 140  # a quarter may be off


@proves("instances.default_on_demand_start")
def requests_start_nothing(live: Live) -> None:
    live.create("one", start=False)
    assert live.plan("one")["action"] == "start"
    live.limits(default_on_demand_start=False)
    assert "on_demand_start is off" in live.ask("one").text


@proves("instances.failure_cool_down")
def requests_are_refused_longer(live: Live) -> None:
    broken = wrapper(live.folder / "broken", "false")
    live.create("one", start=False, command_override=str(broken))
    live.post("one", "start", wait=True)
    assert live.plan("one")["retry_after_s"] <= 30
    live.limits(failure_cool_down=500)
    assert 400 < live.plan("one")["retry_after_s"] <= 500


@proves("instances.on_demand_start_timeout")
def a_request_waits_no_longer(live: Live) -> None:
    live.create("one", model="slow", start=False)
    live.limits(on_demand_start_timeout=0.2)
    assert "within 0.2 s (on_demand_start_timeout)" in live.ask("one").text


@proves("instances.start_timeout")
def a_start_under_way_is_given_up(live: Live) -> None:
    live.create("one", model="slow", start=False)
    live.post("one", "start")
    live.limits(start_timeout=0.2, stop_timeout=0)
    assert live.until("one", "failed")["failure"]["class"] == "start_timed_out"


@proves("instances.max_queue")
def the_queue_is_shorter(live: Live) -> None:
    live.create("one", model="slow", start=False)
    live.limits(max_queue=1)
    first = Thread(target=live.ask, args=("one",))
    first.start()
    until(lambda: live.server.instance("one")["waiting"] == 1, "the first request waits")
    assert "all 1 places in the queue are taken" in live.ask("one").text
    live.server.request("DELETE", f"{BASE}/one?force=true")
    first.join()


@proves("instances.queue_timeout")
def a_place_is_waited_for_no_longer(live: Live) -> None:
    live.create("one", model="slow", start=False)
    live.post("one", "start")
    live.create("two", start=False)
    live.limits(max_running_instances=1, queue_timeout=0.2)
    assert "within 0.2 s (queue_timeout)" in live.ask("two").text


@proves("instances.read_ahead_rate")
def models_are_not_read_ahead(live: Live) -> None:
    file = uncached(live.folder / "weights", 64 << 20)  # its head may be read in any case
    live.create("one", start=False)
    live.create("two", model=str(file), start=False)
    assert swapped(live, file, rate=1 << 40) == 1
    assert swapped(live, file, rate=0) == 1


def swapped(live: Live, file: Path, rate: int) -> int:
    """The second, after the first was busy; how often it was read ahead so far."""
    live.limits(max_running_instances=1, min_residency=0, read_ahead_rate=rate)
    live.post("two", "stop", wait=True)
    live.post("one", "start", wait=True)
    forgotten(file)
    asks = Thread(target=live.ask, args=("two",))
    with live.busy("one"):
        asks.start()
        live.until("one", "draining")
        until(lambda: not rate or (is_cached(file) and read_ahead(live) > 0), "it is read")
    asks.join()
    return read_ahead(live)


def read_ahead(live: Live) -> int:
    """How often the second was."""
    rows = live.server.request("GET", f"{BASE}/two/events").json()
    return sum(row["event"] == "ReadAhead" for row in rows)


@proves("instances.drain_timeout")
def a_stop_waits_no_longer(live: Live) -> None:
    live.create("one")
    with live.busy("one"):
        live.limits(drain_timeout=0.2)
        live.post("one", "stop", wait=True)
        assert live.server.instance("one")["state"] == "stopped"


@proves("instances.eviction_drain_timeout")
def a_victim_is_given_no_longer(live: Live) -> None:
    live.create("one")
    live.create("two", start=False)
    live.limits(max_running_instances=1, min_residency=0, eviction_drain_timeout=0.2)
    with live.busy("one"):
        assert live.ask("two").status_code == 200
        assert live.server.instance("one")["state"] == "stopped"


@proves("instances.stop_timeout")
def an_engine_is_killed_sooner(live: Live) -> None:
    live.create("one", environment={"LAST_WORDS": str(LONG_S)})
    live.limits(stop_timeout=0.1)
    live.post("one", "stop", wait=True)
    assert live.server.instance("one")["state"] == "stopped"


@proves("instances.sleep_timeout")
def an_engine_that_does_not_fall_asleep_stops_sooner(live: Live) -> None:
    program = wrapper(live.folder / "vllm", sys.executable, vllm_replay.__file__)
    body = {
        "backend_type": "vllm", "backend_options": {"model": "x"}, "idle_action": "sleep",
        "command_override": str(program), "environment": {"SLEEP_FAULT": "never sleeps"},
        "idle_timeout": 0.001,
    }  # fmt: skip
    live.limits(sleep_timeout=0.2)
    assert live.server.request("POST", f"{BASE}/one", body).status_code == 201
    live.until("one", "stopped")
    events = live.server.request("GET", f"{BASE}/one/events").json()
    [cause] = [row["cause"] for row in events if row["event"] == "SleepFailed"]
    assert "does not fall asleep" in cause


@proves("instances.drain_policy")
def a_request_calls_a_drain_off(live: Live) -> None:
    made = live.create("one")
    with live.busy("one"):
        live.post("one", "stop")
        assert live.server.instance("one")["state"] == "draining"
        live.limits(drain_policy="call_off")
        assert live.ask("one").status_code == 200
        assert live.server.instance("one")["pid"] == made["pid"]


@proves("instances.history_retention")
def no_history_is_kept(live: Live) -> None:
    live.create("one")
    live.ask("one")

    def kept() -> int:
        return sum(live.server.request("GET", "/api/v1/history?instance=one").json()["requests"])

    assert kept() == 1
    live.limits(history_retention=0)
    assert kept() == 0
    until(lambda: _rows_of_history(live) == 0, "what was kept is gone")
    live.ask("one")
    live.limits(history_retention=7)
    assert kept() == 0, "what came meanwhile does not count"
    live.ask("one")
    until(lambda: kept() == 1, "what comes now counts")


def _rows_of_history(live: Live) -> int:
    with closing(sqlite3.connect(live.server.data_dir / "llamactl.db")) as store:
        count: int = store.execute("SELECT count(*) FROM history").fetchone()[0]
    return count


@proves("instances.memory_budget")
def less_memory_is_given(live: Live) -> None:
    live.limits(memory_budget="300MiB")
    assert live.preview()["budget"] == 300 << 20


@proves("instances.memory_margin")
def more_memory_is_left(live: Live) -> None:
    whole = live.preview()["budget"] / 0.9
    live.limits(memory_margin=0.5)
    assert live.preview()["budget"] == pytest.approx(whole / 2, rel=0.001)


@proves("instances.gpu_memory_budget")
def less_memory_of_gpus_is_given(live: Live) -> None:
    layers = {"model": str(live.model), "gpu_layers": 99}
    assert live.preview(**layers)["fits"]
    live.limits(gpu_memory_budget=1)
    assert not live.preview(**layers)["fits"]


@proves("instances.health_interval")
def engines_are_asked_more_often(live: Live) -> None:
    live.create("one")

    def looks() -> int:
        seen: int = live.server.request("GET", f"{BASE}/one/proxy/seen").json()["looks"]
        return seen

    live.limits(health_interval=0.02)
    enough = looks() + 3
    until(lambda: looks() >= enough, "its health was asked for three times")


@proves("instances.health_timeout")
def a_look_takes_no_longer(live: Live) -> None:
    soon = {"health_interval": 0.05, "unhealthy_after": 0.2, "stop_timeout": 0}
    live.limits(**soon, health_timeout=LONG_S)
    os.kill(live.create("one")["pid"], signal.SIGSTOP)
    live.limits(**soon, health_timeout=0.1)
    assert "did not respond for 0.2 s" in live.until("one", "backoff")["failure"]["advice"]


@proves("instances.unhealthy_after")
def a_silent_engine_is_restarted_sooner(live: Live) -> None:
    soon = {"health_interval": 0.05, "health_timeout": 0.1, "stop_timeout": 0}
    os.kill(live.create("one")["pid"], signal.SIGSTOP)
    live.limits(**soon, unhealthy_after=0.3)
    assert "did not respond for 0.3 s" in live.until("one", "backoff")["failure"]["advice"]


LOGGING = "instances.logging.log_rotation_"


@proves(*(LOGGING + name for name in ("enabled", "max_size", "compress", "max_files", "max_age")))
def logs_are_rotated_by_it(live: Live) -> None:
    live.create("one")
    logs = live.server.data_dir / "logs"
    flood: tuple[list[Any], ...] = (["log", 8_000], ["send", EMPTY])  # 1.6 MB

    def archives() -> list[Path]:
        return sorted(one for one in logs.glob("one.log.*-*") if one.suffix != ".part")

    def rotated(so: Callable[[], bool], what: str, **rules: Any) -> None:
        live.set({LOGGING + name: value for name, value in rules.items()})

        def seen() -> bool:  # the log's writer heeds a change in a moment, as it writes
            written = live.server.request("POST", CHAT, play("one", *flood))
            assert written.status_code == 200, written.text
            return so()

        until(seen, what)

    off = {"enabled": False, "max_size": 1, "max_files": 9}
    live.set({LOGGING + name: value for name, value in off.items()})
    live.server.request("POST", CHAT, play("one", *flood))
    assert (logs / "one.log").stat().st_size > 1 << 20, "there is reason to rotate it"
    assert archives() == []
    rotated(lambda: len(archives()) > 0, "an archive", max_size=1, max_files=999)
    rotated(lambda: any(one.suffix == ".gz" for one in archives()), "one is compressed",
            max_size=1, max_files=999, compress=True)  # fmt: skip
    rotated(lambda: len(archives()) == 1, "one is left", max_size=1, max_files=1)
    rotated(lambda: len(archives()) > 1, "more are kept", max_size=1, max_files=999)
    old = archives()[0]
    os.utime(old, (1, 1))
    rotated(lambda: not old.exists(), "the old one is gone", max_size=1, max_files=999, max_age=1)


LLAMA_CPP = "backends.llama-cpp."


@proves(*(LLAMA_CPP + name for name in ("command", "args", "environment")))
def engines_are_restarted_with_it(live: Live) -> None:
    made = live.create("one", start=False)
    fake = made["options"]["command_override"]
    live.set({LLAMA_CPP + "command": fake})
    pid = live.server.request("POST", f"{BASE}/two", {"model": "any"}).json()["pid"]
    other = str(wrapper(live.folder / "other-engine", fake))
    environ = {"MARK": "set"}
    given = {LLAMA_CPP + "command": other, LLAMA_CPP + "args": ["--flag", "7"],
             LLAMA_CPP + "environment": environ}  # fmt: skip
    assert live.set(given) == ["two"]
    until(lambda: live.server.instance("two")["pid"] not in (None, pid), "another process")
    row = live.until("two", "ready")
    assert (row["command"][0], "--flag 7" in " ".join(row["command"])) == (other, True)
    assert b"MARK=set\0" in Path(f"/proc/{row['pid']}/environ").read_bytes()


@proves(*("backends.command." + name for name in ("command", "args", "environment")))
def any_command_is_begun_by_it(live: Live) -> None:
    fake = live.create("one", start=False)["options"]["command_override"]
    given = {"command": fake, "args": ["--flag", "7"], "environment": {"MARK": "set"}}
    live.set({f"backends.command.{name}": value for name, value in given.items()})
    words = ["--host", "127.0.0.1", "--port", "${PORT}", "--model", "any"]
    options = {"args": words, "health_path": "/health"}
    body = {"backend_type": "command", "backend_options": options}
    made = live.server.request("POST", f"{BASE}/two", body)
    assert made.status_code == 201, made.text
    row = live.until("two", "ready")
    assert (row["command"][0], "--flag 7" in " ".join(row["command"])) == (fake, True)
    assert b"MARK=set\0" in Path(f"/proc/{row['pid']}/environ").read_bytes()


DOCKED = ("llama-cpp", "vllm", "mlx")


@proves(*(f"backends.{backend}.docker.{name}" for backend in DOCKED
          for name in ("enabled", "image", "args", "environment")))  # fmt: skip
def engines_run_in_a_container(live: Live) -> None:
    kinds = [BY_SECTION[section] for section in DOCKED if BY_SECTION[section].type in BACKENDS]
    given = {"enabled": True, "image": "an-image", "args": ["--shm-size", "1g"],
             "environment": {"MARK": "set"}}  # fmt: skip
    assert not any(live.preview_of(kind.type)["command"][:2] == ["docker", "create"]
                   for kind in kinds)  # fmt: skip
    live.set({f"backends.{kind.section}.docker.{k}": v for kind in kinds for k, v in given.items()})
    for kind in kinds:
        words = " ".join(live.preview_of(kind.type)["command"])
        assert all(part in words for part in ("create ", " --shm-size 1g ", " -e MARK ")), words
        assert " an-image --" in words


def talked(live: Live, name: str = "one") -> None:
    """An instance of a real engine, whose slot holds some tokens."""
    body = {"model": str(live.model), "ctx_size": 512}
    if live.server.request("GET", f"{BASE}/{name}").status_code != 200:
        assert live.server.request("POST", f"{BASE}/{name}", body).status_code == 201
    asked = {"model": name, "prompt": "one two three " * 9, "max_tokens": 1}
    assert live.server.request("POST", "/v1/completions", asked).status_code == 200


def kept(live: Live) -> list[str]:
    """Names of the instances with stored contexts."""
    return [one["instance"] for one in live.server.request("GET", "/api/v1/contexts").json()]


def stopped(live: Live, name: str = "one") -> str:
    """Why its context was not kept; "" if it was."""
    live.post(name, "stop", wait=True)
    rows = live.server.request("GET", f"{BASE}/{name}/events").json()
    said = [row for row in rows if row["event"] in ("ContextSaved", "ContextNotSaved")]
    return said[-1]["cause"] if said else "too little"


@proves("instances.default_keep_context")
def contexts_are_not_kept(live: Live) -> None:
    flag = "--slot-save-path"
    assert flag in live.preview(model=str(live.model))["command"]
    live.limits(default_keep_context="off")
    assert flag not in live.preview(model=str(live.model))["command"]


@proves("instances.context_min_tokens")
def smaller_contexts_are_kept(live: Live) -> None:
    talked(live)
    assert stopped(live) == "too little"
    live.limits(context_min_tokens=16)
    talked(live)
    assert (stopped(live), kept(live)) == ("", ["one"])


@proves("instances.context_save_timeout", "instances.context_disk_budget",
        "instances.context_share")  # fmt: skip
def a_context_is_kept_within_its_limits(live: Live) -> None:
    for name, value, why in (
        ("context_save_timeout", 1e-6, "took longer"), ("context_disk_budget", 1, "no room"),
        ("context_share", 1e-12, "no room"),
    ):  # fmt: skip
        live.limits(context_min_tokens=16, **{name: value})
        talked(live)
        assert why in stopped(live)
        live.limits(context_min_tokens=16)
        talked(live)
        assert stopped(live) == ""


@proves("instances.warm_up_timeout")
def a_warm_up_is_given_up_earlier(live: Live) -> None:
    def failed() -> bool:
        rows = live.server.request("GET", f"{BASE}/one/events").json()
        return any("warm_up_timeout" in row["cause"] for row in rows)

    live.create("one", warm_up={"body": {"prompt": "x", "max_tokens": 1}})
    assert not failed()
    live.limits(warm_up_timeout=1e-6)
    live.post("one", "restart", wait=True)
    assert failed()


@proves("instances.context_max_age")
def old_contexts_go(live: Live) -> None:
    live.limits(context_min_tokens=16)
    talked(live)
    assert (stopped(live), kept(live)) == ("", ["one"])
    live.limits(context_min_tokens=16, context_max_age=1e-9)
    talked(live, "two")
    assert (stopped(live, "two"), kept(live)) == ("", ["two"])


@proves("instances.context_checkpoint_interval")
def an_idle_one_is_saved(live: Live) -> None:
    live.limits(context_min_tokens=16)
    talked(live)
    assert kept(live) == []
    live.limits(context_min_tokens=16, context_checkpoint_interval=0.05)
    until(lambda: kept(live) == ["one"], "it is saved")


@proves("auth.hide_cached_tokens")
def an_inference_key_is_not_told_what_was_cached(live: Live) -> None:
    talked(live)
    key = live.server.request("POST", "/api/v1/auth/keys", {"name": "anna"}).json()["key"]
    asked = {"model": "one", "prompt": "one two three " * 9, "max_tokens": 1}

    def cached() -> int:
        with live.server.client(key) as client:
            usage = client.post("/v1/completions", json=asked).json()["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    assert cached() > 0
    live.set({"auth.hide_cached_tokens": True})
    assert cached() == 0


@proves("allow_commands")
def no_program_may_be_chosen(live: Live) -> None:
    body = live.create("before", start=False)["options"]
    live.set({"allow_commands": False})
    refused = live.server.request("POST", f"{BASE}/after?start=false", body)
    assert (refused.status_code, "allow_commands is off" in refused.text) == (403, True)


@proves("model_roots")
def no_file_elsewhere_may_be_served(live: Live) -> None:
    body = {"model": str(live.model)}
    url = f"{BASE}/{{}}?start=false"
    assert live.server.request("POST", url.format("before"), body).status_code == 201
    live.set({"model_roots": [str(live.folder)]})
    refused = live.server.request("POST", url.format("after"), body)
    assert (refused.status_code, "is outside model_roots" in refused.text) == (403, True)


@proves(*(f"backends.{backend}.{name}" for backend in ("vllm", "mlx", "transformers")
          for name in ("command", "args", "environment")))  # fmt: skip
def other_engines_are_asked_for_their_options_by_it(live: Live) -> None:
    program = live.folder / "talkative"
    program.write_text(HELP)
    program.chmod(0o755)
    given = {"command": str(program), "args": ["now"], "environment": {"MARK": "set"}}
    backends = ("vllm", "mlx", "transformers")
    live.set({f"backends.{one}.{name}": value for one in backends for name, value in given.items()})
    for backend in backends:
        rows = live.server.request("GET", f"/api/v1/backends/{backend}/options").json()
        assert rows[0]["flags"] == ["--talkative-now-set"]


@proves("instances.scale_up_queue_time", "instances.scale_down_after")
def replicas_come_with_a_queue_and_go_without_one(live: Live) -> None:
    live.limits(scale_up_queue_time=600, scale_down_after=86_400)
    options = {"model": str(live.model), "ctx_size": 1024, "parallel": 1}
    body = {"backend_options": options, "replicas": {"min": 1, "max": 2}}
    live.server.request("POST", f"{BASE}/one?wait=true", body).raise_for_status()
    load = Load(live.server, "one", 8, prompt="a", max_tokens=400, ignore_eos=True)
    try:
        live.limits(scale_up_queue_time=1, scale_down_after=86_400)
        live.until("one@2", "ready")
    finally:
        load.end()
    live.limits(scale_up_queue_time=1, scale_down_after=1)
    live.until("one@2", "stopped")


@pytest.mark.parametrize(
    "check", dict.fromkeys(PROOFS.values()), ids=lambda check: str(check.__name__)
)
def test_a_live_setting_is_in_force_after_a_reload(live: Live, check: Proof) -> None:
    check(live)


ON_EXIT = "instances.on_exit"
IN_A_CLUSTER = ("instances.placement", "instances.node_grace")  # proved in test_cluster.py


def test_every_live_setting_is_proved_to_be_live() -> None:
    assert {*PROOFS, ON_EXIT, *IN_A_CLUSTER} == {
        one.key for one in fields_of(Settings) if one.applies == "live"
    }


def test_engines_are_kept_if_a_reload_says_so(served_live: Live) -> None:
    """The last one: it ends the server."""
    server = served_live.server
    pid = served_live.create("one")["pid"]
    served_live.set({ON_EXIT: "keep"})
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 0
    assert is_alive(pid)
    server.kill_pid(pid)
