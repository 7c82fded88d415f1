"""How Ray is started on a machine, and with which variables.

https://docs.ray.io/en/latest/cluster/cli.html#ray-start; the variables are Ray's own settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamactl.cluster.ray.mailbox import SOCKET
from llamactl.cluster.ray.names import LABEL

_LEAST_STORE = 80_000_000  # bytes: Ray takes no less; large calls pass through it
_BEAT_MS = 1000  # a machine is dead after three of these
_DAY_S = 86400
# What Ray does by itself otherwise: it ends all processes of a machine that does not reach its
# head for a minute, and what an actor started when that one ends.
_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_kill_child_processes_on_worker_exit": "0",
    "RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper": "0",
    "RAY_process_group_cleanup_enabled": "0",
    "RAY_worker_niceness": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": f"{_DAY_S}",
    "RAY_health_check_initial_delay_ms": f"{_BEAT_MS}",
    "RAY_health_check_period_ms": f"{_BEAT_MS}",
    "RAY_health_check_timeout_ms": f"{_BEAT_MS}",
    "RAY_health_check_failure_threshold": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ROTATION_MAX_BYTES": f"{10 << 20}",  # of each of its logs; 512 MB otherwise, six times
    "RAY_ROTATION_BACKUP_COUNT": "1",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One of a Ray cluster."""

    node: str  # the name of the node here
    address: str  # of this machine, as the others reach it
    head: str  # address and port of the head
    folder: Path  # for Ray's own files
    token: Path  # a file
    socket: Path  # where the node's process listens
    is_head: bool = False
    sockets: Path | None = None  # a folder with a short path, if `folder` has a long one
    tls: Path | None = None  # a folder with certificates for all that Ray says

    @property
    def arguments(self) -> Sequence[str]:
        """Of `ray`. It stays in the foreground."""
        host, _, port = self.head.rpartition(":")
        where = (
            ["--head", f"--port={port}", "--include-dashboard=false"] if self.is_head
            else [f"--address={host}:{port}"]
        )  # fmt: skip
        return [
            "start", *where, "--block", f"--node-ip-address={self.address}",
            f"--labels={LABEL}={self.node}", "--num-cpus=0", "--num-gpus=0",
            f"--object-store-memory={_LEAST_STORE}", "--disable-usage-stats",
            f"--temp-dir={self.sockets or self.folder}",
        ]  # fmt: skip

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Of `ray`, and of its driver."""
        own = {name: value for name, value in environ.items() if not name.startswith("RAY_")}
        kept = {
            "RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.folder / "store"),
        }  # fmt: skip
        return {
            **own, **_SETTINGS, **(kept if self.is_head else {}),
            "RAY_AUTH_TOKEN_PATH": str(self.token), SOCKET: str(self.socket), **self._tls,
        }  # fmt: skip

    @property
    def _tls(self) -> Mapping[str, str]:
        """https://docs.ray.io/en/latest/ray-core/configure.html#tls-authentication"""
        if self.tls is None:
            return {}
        return {
            "RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": str(self.tls / "machine.pem"),
            "RAY_TLS_SERVER_KEY": str(self.tls / "machine.key"),
            "RAY_TLS_CA_CERT": str(self.tls / "authority.pem"),
        }  # fmt: skip
