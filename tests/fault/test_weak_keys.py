"""Management keys that can be guessed, and people who guess."""

from __future__ import annotations

from pathlib import Path

from support.served import data_folder, serve, spawn

SESSION = "/api/v1/session"


def refused(data: Path, settings: dict[str, str] | None = None) -> str:
    process = spawn(data, settings, ("--port", "0"))
    assert process.wait(20) == 1
    assert process.stdout is not None
    process.stdout.close()
    return (data.parent / "data.err").read_text()


def test_serve_refuses_a_short_key_naming_its_line(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "auth:\n  management_keys:\n    - hunter2\n")
    said = refused(data)

    assert f"{data}/llamactl.yaml, line 3: auth.management_keys" in said
    assert "openssl rand" in said and "hunter2" not in said


def test_serve_refuses_a_short_key_in_its_key_file(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    (data / "management_key").write_text("hunter2\n")
    said = refused(data)

    assert f"{data}/management_key" in said
    assert "Traceback" not in said and "hunter2" not in said


def test_serve_warns_of_a_key_that_is_not_long(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data, {"LLAMACTL_MANAGEMENT_KEYS": "0123456789"}) as server:
        assert server.request("GET", "/api/v1/instances", key="0123456789").status_code == 200
    said = (tmp_path / "data.err").read_text()

    assert "warning: variable LLAMACTL_MANAGEMENT_KEYS" in said
    assert "management_key_is_short" in said and "0123456789" not in said


def test_a_wrong_sign_in_is_logged_with_its_address_and_without_the_key(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        for _ in range(3):
            assert server.request("POST", SESSION, {"key": "a-guess"}).status_code == 401
        assert server.request("POST", SESSION, {"key": server.key}).status_code == 200
    said = (tmp_path / "data.err").read_text()

    assert said.count("sign_in_refused address=127.0.0.1") == 3
    assert "a-guess" not in said
