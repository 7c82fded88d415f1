"""With what Ray is started: each of these was found to be needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from llamactl.cluster.ray.start import Machine

HEAD = Machine(
    "main", "10.0.0.1", "10.0.0.1:6379", Path("/data/ray"), Path("/data/token"),
    Path("/data/node.sock"), is_head=True,
)  # fmt: skip
OTHER = replace(HEAD, node="gpu1", address="10.0.0.2", is_head=False)


def test_a_head_listens_where_the_others_reach_it_and_writes_down_what_it_knows() -> None:
    words, environ = HEAD.arguments, HEAD.environment({})

    assert {"--head", "--port=6379", "--node-ip-address=10.0.0.1"} <= {*words}
    assert "--include-dashboard=false" in words
    assert environ["RAY_gcs_storage"] == "rocksdb"
    assert environ["RAY_gcs_storage_path"] == "/data/ray/store"


def test_another_machine_joins_it_under_its_own_name() -> None:
    words, environ = OTHER.arguments, OTHER.environment({})

    assert {"--address=10.0.0.1:6379", "--node-ip-address=10.0.0.2"} <= {*words}
    assert "--labels=llamactl/node=gpu1" in words
    assert not any("gcs_storage" in name for name in environ)


def test_all_of_them_ask_for_the_token_and_leave_our_processes_alone() -> None:
    for machine in (HEAD, OTHER):
        environ = machine.environment({"PATH": "/bin", "RAY_AUTH_MODE": "disabled", "RAY_X": "1"})

        assert environ["PATH"] == "/bin"
        assert "RAY_X" not in environ
        assert environ["RAY_AUTH_MODE"] == "token"
        assert environ["RAY_AUTH_TOKEN_PATH"] == "/data/token"
        assert environ["RAY_kill_child_processes_on_worker_exit"] == "0"
        assert environ["RAY_ROTATION_MAX_BYTES"] == "10485760"
        assert environ["RAY_gcs_rpc_server_reconnect_timeout_s"] == "86400"
        assert environ["LLAMACTL_NODE_SOCKET"] == "/data/node.sock"
