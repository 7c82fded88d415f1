"""How a data directory comes to belong to a cluster, and leaves it."""

from __future__ import annotations

import shutil
import socket
import ssl
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from llamactl.cluster.folder import RESERVED, ClusterFolder, Place
from llamactl.config import Settings
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import check_node
from llamactl.node import DataDir

_ANSWER_S = 10.0
_HIGHEST = 65535


def begin_cluster(settings: Settings, address: str, port: int, name: str) -> Place:
    """With this machine as its head. `name`: of its node; "": as the settings say.

    Raises LlamactlError.
    """
    _expect_extra()
    folder = _outside(settings)
    DataDir(settings).open(locked=False)  # its server may run
    if not 1 <= port <= _HIGHEST:
        raise LlamactlError(f"port must be a number from 1 to {_HIGHEST}, not {port}")
    where = _ip(address)
    node = check_node(name or settings.local_node)
    place = Place(node, where, f"{where}:{port}", is_head=True)
    try:
        folder.begin(place)
    except (OSError, ValueError) as exc:
        raise _unusable(folder, exc) from exc
    return place


def join(settings: Settings, head: str, token_file: Path, name: str, address: str) -> Place:
    """The cluster with this head, once more if need be.

    `name`: "": as the machine is called. `address`: "": that on the way to the head. Raises
    LlamactlError.
    """
    _expect_extra()
    node = check_node(name or socket.gethostname().partition(".")[0].lower())
    if node in RESERVED:
        raise LlamactlError(f"a node can't be called {node!r}; give another name with --name")
    _ip(head.rpartition(":")[0])
    token, folder = _token(token_file), ClusterFolder(settings.data)
    known = folder.place
    owned = DataDir(settings)
    owned.open()  # raises while somebody uses it
    owned.close()
    if known is not None and (known.node, known.head) == (node, head):
        if folder.token.read_text(encoding="ascii").strip() != token:
            raise LlamactlError(
                f"{settings.data} has joined with another token; run `llamactl node leave` first"
            )
        place = replace(known, address=_ip(address) if address else _own_address(head, known))
        _enter(folder, place, token, token_file)
        return place  # the head may be away for a while
    if (settings.data / "llamactl.db").exists():
        raise LlamactlError(f"{settings.data} is that of a server; choose another data_dir")
    on_the_way, folder = _reach(head), _outside(settings)
    place = Place(node, _ip(address or on_the_way), head)
    _enter(folder, place, token, token_file)
    try:
        _prove(folder, head)
    except LlamactlError:
        shutil.rmtree(folder.path)
        raise
    return place


def _enter(folder: ClusterFolder, place: Place, token: str, token_file: Path) -> None:
    try:
        folder.keep(place, token)
        folder.certify(place)
    except ValueError as exc:
        raise LlamactlError(f"{token_file} is not the token of a cluster: {exc}") from exc
    except OSError as exc:
        raise _unusable(folder, exc) from exc


def _prove(folder: ClusterFolder, head: str) -> None:
    """That the machine there is of the same cluster. Raises LlamactlError."""
    from llamactl.cluster.certificates import Files

    tls, (host, _, port) = Files(folder.path).client(), head.rpartition(":")
    tls.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, int(port)), _ANSWER_S) as connection,
            tls.wrap_socket(connection, server_hostname=host),
        ):
            pass
    except ssl.SSLError as exc:
        raise LlamactlError(
            f"the token is not that of the cluster at {head}, or their clocks differ: {exc}"
        ) from exc
    except OSError as exc:
        raise LlamactlError(f"the cluster at {head} does not answer: {exc}") from exc


def leave(settings: Settings) -> Place:
    """Where this machine was. Raises LlamactlError, also while it is used."""
    folder = ClusterFolder(settings.data)
    if (known := folder.place) is None:
        raise LlamactlError(f"{settings.data} belongs to no cluster")
    owned = DataDir(settings)
    owned.open()
    try:
        shutil.rmtree(folder.path)
    except OSError as exc:
        raise _unusable(folder, exc) from exc
    finally:
        owned.close()
    return known


def _own_address(head: str, known: Place) -> str:
    """As it is by now, as far as that can be seen."""
    try:
        return _reach(head)
    except LlamactlError:
        return known.address


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


def _unusable(folder: ClusterFolder, exc: Exception) -> LlamactlError:
    return LlamactlError(f"cannot use {folder.path}: {exc}")
