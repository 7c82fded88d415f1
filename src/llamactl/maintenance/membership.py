"""How a data directory comes to belong to a cluster, and leaves it."""

from __future__ import annotations

import secrets
import shutil
import socket
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from llamactl.cluster.folder import ClusterFolder, Place
from llamactl.config import Settings
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import check_node
from llamactl.node import DataDir

_ANSWER_S = 10.0


def begin_cluster(settings: Settings, address: str, port: int, name: str) -> Place:
    """With this machine as its head. `name`: of its node; "": as the settings say.

    Raises LlamactlError.
    """
    _expect_extra()
    from llamactl.cluster.certificates import Authority, Files
    from llamactl.cluster.head import certify

    folder = _outside(settings)
    where = _ip(address)
    node = check_node(name or settings.local_node)
    place = Place(node, where, f"{where}:{port}", is_head=True)
    _keep(folder, place, secrets.token_hex(32))
    try:
        certify(Files(folder.path), Authority(folder.authority), place)
    except OSError as exc:
        raise _unusable(folder, exc) from exc
    return place


def join(settings: Settings, head: str, token_file: Path, name: str, address: str) -> Place:
    """The cluster with this head, once more if need be.

    `name`: "": as the machine is called. `address`: "": that on the way to the head. Raises
    LlamactlError.
    """
    _expect_extra()
    node = check_node(name or socket.gethostname().partition(".")[0].lower())
    token, folder = _token(token_file), ClusterFolder(settings.data)
    known = folder.place
    if known is not None and (known.node, known.head) == (node, head):
        place = known if not address else replace(known, address=_ip(address))
    else:  # from then on the head may be away for a while
        on_the_way = _reach(head)
        place, folder = Place(node, _ip(address or on_the_way), head), _outside(settings)
    _keep(folder, place, token)
    return place


def leave(settings: Settings) -> Place:
    """Where this machine was. Raises LlamactlError, also while its node's process runs."""
    folder = ClusterFolder(settings.data)
    if (known := folder.place) is None:
        raise LlamactlError(f"{settings.data} belongs to no cluster")
    if known.is_head:
        raise LlamactlError(f"{settings.data} is that of the cluster's head; nothing was done")
    owned = DataDir(settings)
    owned.open()
    shutil.rmtree(folder.path)
    owned.close()
    return known


def _outside(settings: Settings) -> ClusterFolder:
    """Raises LlamactlError for what belongs to a cluster."""
    folder = ClusterFolder(settings.data)
    if (known := folder.place) is not None:
        raise LlamactlError(
            f"{settings.data} belongs to the cluster at {known.head}, as node {known.node!r} at "
            f"{known.address}; leave it with `llamactl node leave`, or choose another data_dir"
        )
    return folder


def _expect_extra() -> None:
    if missing := [name for name in ("ray", "cryptography") if find_spec(name) is None]:
        raise LlamactlError(
            f"{' and '.join(missing)} is not installed; install llamactl with its extra 'ray'"
        )


def _ip(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        raise LlamactlError(f"{address!r} is not an IP address") from None


def _reach(head: str) -> str:
    """The address of this machine on the way there."""
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _ANSWER_S) as connection:
            return str(connection.getsockname()[0])
    except (OSError, ValueError, OverflowError) as exc:
        raise LlamactlError(
            f"no cluster answers at {head}: {exc}; is the head's server running, and does a "
            "firewall let its port through?"
        ) from exc


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise LlamactlError(f"cannot read the token in {file}: {exc}") from exc
    if not token:
        raise LlamactlError(f"there is no token in {file}")
    return token


def _keep(folder: ClusterFolder, place: Place, token: str) -> None:
    try:
        folder.keep(place, token)
    except OSError as exc:
        raise _unusable(folder, exc) from exc


def _unusable(folder: ClusterFolder, exc: OSError) -> LlamactlError:
    return LlamactlError(f"cannot use {folder.path}: {exc}")
