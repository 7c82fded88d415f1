"""What a client chooses makes no label of our numbers."""

from __future__ import annotations

from pathlib import Path

from support.fake_engine import create_fake, raw, to_end
from support.served import Served, data_folder, serve


def series(server: Served) -> set[str]:
    """Ours, without their values and without those of the process."""
    lines = server.request("GET", "/metrics").text.splitlines()
    return {line.rpartition(" ")[0] for line in lines if line.startswith("llamactl_")}


def test_unknown_models_paths_methods_and_programs_fall_together(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "fake")
        made = server.request("POST", "/api/v1/auth/keys", {"name": "one"}).json()

        def ask(number: int) -> None:
            with server.client(made["key"]) as client:
                client.headers["user-agent"] = f"program/{number}"
                client.headers["x-request-id"] = f"id-{number}"
                client.post("/v1/chat/completions", json={"model": f"unknown-{number}"})
                client.post("/v1/chat/completions", json={"model": f"fake/{number}"})
                client.post(f"/upstream/unknown-{number}/v1/chat/completions", json={})
                client.get(f"/nothing/{number}")
                client.post(f"/v1/none-{number}", json={"model": "fake"})
                client.request("PROPFIND", f"/v1/models/{number}")
            with raw(server) as connection:
                connection.sendall(b"METHOD%d / HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
                to_end(connection)

        ask(0)
        known = series(server)
        for number in range(1, 20):
            ask(number)
        assert series(server) == known
