"""llamactl is replaced by a new process while streams and requests run."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from support.fake_engine import begin_stream, create_fake, post, raw, tell, to_end, until_told
from support.load import Load
from support.served import PROXIES, data_folder, is_alive, serve, until_gone
from support.waits import until

BASE = "/api/v1/instances"
DYING = Path(__file__).parents[1] / "support/dying.py"


def test_three_upgrades_under_load_cut_nothing(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server, ExitStack() as stack:
        streams = create_fake(server, tmp_path, "streams")
        asked = create_fake(server, tmp_path, "asked")
        load = Load(server, "asked", 4)
        clients = [stack.enter_context(raw(server)) for _ in range(64)]
        for client in clients:
            begin_stream(server, client, "streams")
        pids = [server.process.pid] + [server.upgrade() for _ in range(3)]

        assert is_alive(pids[3])
        assert is_alive(pids[0]) or PROXIES > 1  # it relays those streams to their end
        assert [server.instance(n)["pid"] for n in ("streams", "asked")] == [
            streams["pid"], asked["pid"],
        ]  # fmt: skip
        busy = server.request("POST", f"{BASE}/streams/stop").json()
        assert (busy["state"], busy["drain"]["leases"]) == ("draining", 64)
        assert server.request("POST", f"{BASE}/streams/start").json()["state"] == "ready"
        tell(streams, "go")
        for client in clients:
            assert to_end(client).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert server.process.wait(30) == 0  # those replaced are done
        answers = load.end()
        assert set(answers) == {200}
        assert len(answers) > 50
        assert server.request("GET", "/health").json() == {"status": "ok"}


def test_a_client_keeps_its_connection(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "one")
        with raw(server) as client:
            for _ in range(3):
                client.sendall(post(server, b'{"model": "one"}'))
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
                server.upgrade()
            assert server.process.wait(30) == 0


def test_who_waits_for_a_load_waits_on_and_is_served(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        made = create_fake(server, tmp_path, "slow", start=False, model="slow")
        with raw(server) as client:
            client.sendall(post(server, b'{"model": "slow"}', "Connection: close"))
            made = server.until_row("slow", "its process", lambda row: row["pid"])
            server.upgrade()
            assert server.until("slow", "starting")["pid"] == made["pid"]
            until_told(made, "loaded")
            assert to_end(client).startswith(b"HTTP/1.1 200")


def test_what_the_old_one_streams_is_not_idle_for_the_new_one(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {max_running_instances: 1}")) as server:
        made = create_fake(server, tmp_path, "busy")
        with raw(server) as client:
            begin_stream(server, client, "busy")
            server.request("PUT", f"{BASE}/busy", {"idle_timeout": 0.001})
            server.upgrade()
            assert server.until("busy", "ready")["pid"] == made["pid"]
            create_fake(server, tmp_path, "other", start=False)
            plan = server.request("POST", f"{BASE}/other/plan").json()
            assert plan["action"] == "wait", plan
            tell(made, "go")
            assert b"[DONE]" in to_end(client)
        server.until("busy", "stopped")


def test_a_new_one_that_fails_leaves_the_old_one_serving(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        (data / "llamactl.yaml").write_text("instances: {max_instances: many}")
        refused = server.request("POST", "/api/v1/upgrade")
        assert (refused.status_code, refused.json()["code"]) == (500, "upgrade_failed")
        assert "max_instances" in refused.text
        (data / "llamactl.yaml").write_text("instances: {configs_dir: declared}")
        (data / "declared").mkdir()
        (data / "declared/bad.yaml").write_text("a: [")
        assert "bad.yaml" in server.request("POST", "/api/v1/upgrade").text
        (data / "llamactl.yaml").write_text("")

        assert server.request("POST", "/v1/completions", {"model": "one"}).status_code == 200
        assert server.request("POST", f"{BASE}/one/restart?wait=true").json()["pid"] != made["pid"]
        server.upgrade()
        assert server.request("POST", "/v1/completions", {"model": "one"}).status_code == 200


def test_a_new_one_that_dies_in_the_middle_leaves_the_old_one_serving(tmp_path: Path) -> None:
    """It is killed when all was handed to it, before it said that it serves."""
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(DYING),)) as server:
        made = create_fake(server, tmp_path, "one")
        with raw(server) as client:
            begin_stream(server, client, "one")
            refused = server.request("POST", "/api/v1/upgrade")
            assert (refused.status_code, refused.json()["code"]) == (500, "upgrade_failed")

            assert server.instance("one")["pid"] == made["pid"]
            changed = server.request("PUT", f"{BASE}/one", {"priority": 3})
            assert changed.status_code == 200, changed.text
            tell(made, "go")
            assert b"[DONE]" in to_end(client)
        assert server.request("POST", f"{BASE}/one/stop?wait=true").json()["status"] == "stopped"


def test_one_that_can_not_read_the_store_leaves_the_old_one_serving(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, ""), program=(str(DYING), "unread")) as server:
        made = create_fake(server, tmp_path, "one")
        refused = server.request("POST", "/api/v1/upgrade")
        assert (refused.status_code, "a fault of the test" in refused.text) == (500, True)
        changed = server.request("PUT", f"{BASE}/one", {"priority": 3})
        assert (changed.status_code, changed.json()["pid"]) == (200, made["pid"])


def test_one_that_dies_when_it_alone_may_act_is_told_to_who_watches_over_us(tmp_path: Path) -> None:
    """The old one relays to the end, and ends as a failure, so that it is started again."""
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(DYING), "late")) as server:
        made = create_fake(server, tmp_path, "one")
        with raw(server) as client:
            begin_stream(server, client, "one")
            server.process.send_signal(signal.SIGUSR2)
            errors = data.parent / f"{data.name}.err"
            # one that relays nothing by itself ends at once
            said = "upgraded" if PROXIES == 1 else "start llamactl again"
            until("an upgrade", lambda: said in errors.read_text())
            tell(made, "go")
            assert b"[DONE]" in to_end(client)
        assert server.process.wait(30) == 1
        assert "start llamactl again" in errors.read_text()
    with serve(data) as server:
        assert server.until("one", "ready")["pid"] == made["pid"]


def test_work_begun_is_cut_when_its_time_is_over(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "server: {upgrade_timeout: 0.2}")) as server:
        create_fake(server, tmp_path, "one")
        with raw(server) as client:
            client.sendall(post(server, b'{"model": "one", "script": [["until", "never"]]}'))
            server.upgrade()
            assert server.process.wait(30) == 0
            assert to_end(client) == b""


def test_a_new_one_with_another_store_is_refused(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        (data / "llamactl.yaml").write_text("database: {path: other.db}")
        refused = server.request("POST", "/api/v1/upgrade")

        assert (refused.status_code, "data_dir or database has changed" in refused.text) == (
            500,
            True,
        )
        assert not (data / "other.db").exists()


def test_an_engine_too_busy_to_answer_is_taken_over(tmp_path: Path) -> None:
    """Its process is stopped, so that it could prove nothing."""
    with serve(data_folder(tmp_path, "instances: {unhealthy_after: 0.5}")) as server:
        made = create_fake(server, tmp_path, "busy")
        with raw(server) as client:
            begin_stream(server, client, "busy")
            os.kill(made["pid"], signal.SIGSTOP)
            server.upgrade()
            assert server.until("busy", "ready")["pid"] == made["pid"]
            os.kill(made["pid"], signal.SIGCONT)
            tell(made, "go")
            assert b"[DONE]" in to_end(client)


def test_the_old_one_killed_in_the_middle_is_a_crash_like_any_other(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(DYING), "old")) as server:
        made = create_fake(server, tmp_path, "one")
        with pytest.raises(httpx.TransportError):
            server.request("POST", "/api/v1/upgrade")
        assert server.process.wait(30) == -signal.SIGKILL
        # the new one has the socket, so that nobody is refused
        assert server.until("one", "ready")["pid"] == made["pid"]
        server.successors.append(int((data / "llamactl.lock").read_text()))


def test_a_request_in_pieces_is_put_together_across_upgrades(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "one")
        whole = post(server, b'{"model": "one"}')
        with raw(server) as client:
            for _ in range(2):
                client.sendall(whole[:7])
                server.upgrade()
                client.sendall(whole[7:60])
                client.sendall(whole[60:])
                assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_a_store_that_is_locked_at_the_handover_paralyses_nothing(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(DYING), "locked")) as server:
        create_fake(server, tmp_path, "one")
        refused = server.request("POST", "/api/v1/upgrade")
        assert refused.status_code in (500, 503), refused.text
        assert server.request("POST", f"{BASE}/one/stop?wait=true").json()["status"] == "stopped"
        server.until_well()
        changed = server.request("PUT", f"{BASE}/one", {"priority": 3})
        assert changed.status_code == 200, changed.text


def test_a_stop_during_an_upgrade_wins(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(DYING), "slow")) as server:
        made = create_fake(server, tmp_path, "one")
        server.process.send_signal(signal.SIGUSR2)
        until("the new one prepared", (tmp_path / "data/prepared").exists)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        pid = int((tmp_path / "data/prepared").read_text())
        until_gone(pid)
    assert not is_alive(made["pid"])


def test_after_the_new_ones_death_another_may_start(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        with raw(server) as client:
            begin_stream(server, client, "one")
            os.kill(server.upgrade(), signal.SIGKILL)
            server.successors.clear()
            with serve(data) as third:
                assert third.until("one", "ready")["pid"] == made["pid"]
                tell(made, "go")
                assert b"[DONE]" in to_end(client)
