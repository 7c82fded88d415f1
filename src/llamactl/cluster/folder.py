"""What a machine of a cluster keeps of that, in its data directory."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from llamactl.cluster.ray.start import Machine
from llamactl.core.errors import InvalidConfig
from llamactl.core.ports.node import LOCAL
from llamactl.node.host.private_file import write_private

RESERVED = frozenset({LOCAL})  # names that no machine may have


@dataclass(frozen=True, slots=True)
class Place:
    """Which machine this is, in which cluster."""

    node: str  # its name
    address: str  # as the others reach it
    head: str  # address and port
    is_head: bool = False


class ClusterFolder:
    def __init__(self, data: Path) -> None:
        """`data`: the data directory."""
        self.path = data / "cluster"

    def __repr__(self) -> str:
        return f"<ClusterFolder {self.path}>"

    @property
    def token(self) -> Path:
        """What all machines of the cluster know, and nobody else: Ray's token, and by whom
        their certificates are."""
        return self.path / "token"

    @property
    def authority(self) -> Path:
        """A folder."""
        return self.path / "authority"

    @property
    def socket(self) -> Path:
        """Where the node's process listens."""
        return self.path / "node.sock"

    @property
    def place(self) -> Place | None:
        """None where this machine belongs to no cluster. Raises InvalidConfig."""
        try:
            return Place(**orjson.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as exc:
            raise InvalidConfig(f"cannot read {self._file}: {exc}; join the cluster again") from exc

    def begin(self, place: Place) -> None:
        """Make a cluster. Raises OSError."""
        from llamactl.cluster.certificates import Authority

        made = Authority(self.authority)
        self.keep(place, secrets.token_hex(32) + "\n" + made.pem)
        self.certify(place)

    def keep(self, place: Place, token: str) -> None:
        """`token`: what the file of another machine has. Raises OSError, or ValueError for none."""
        from llamactl.cluster.certificates import Authority

        ours, _, authority = token.partition("\n")
        Authority.keep(self.authority, authority)
        write_private(self.path / "ray.token", ours.encode(), synced=True)
        write_private(self.token, token.encode(), synced=True)
        write_private(self._file, orjson.dumps(asdict(place)), synced=True)

    def certify(self, place: Place) -> None:
        """This machine, if that is due. Raises OSError, or ValueError for damaged files."""
        from llamactl.cluster.certificates import Authority, Files

        files, now, authority = Files(self.path), datetime.now(UTC), Authority(self.authority)
        if files.is_due(now, place.address, authority.certificate):
            signed = authority.sign(files.request(), place.node, place.address, now)
            files.keep(signed, authority.certificate)

    def machine(self, place: Place) -> Machine:
        """For Ray. Its sockets are in a folder with a short path. Raises OSError."""
        ray = self.path / "ray"
        ray.mkdir(mode=0o700, exist_ok=True)
        return Machine(
            place.node, place.address, place.head, ray, self.path / "ray.token", self.socket,
            is_head=place.is_head, sockets=_short(self.path), tls=self.path,
        )  # fmt: skip

    @property
    def _file(self) -> Path:
        return self.path / "place.json"


def _short(path: Path) -> Path:
    """A folder for `path` that nobody else can use. Raises OSError."""
    name = hashlib.sha256(bytes(path)).hexdigest()[:8]
    made = Path(tempfile.gettempdir()) / f"llamactl-{os.getuid()}-{name}"
    made.mkdir(mode=0o700, exist_ok=True)
    found = made.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(1, "it is not a folder of ours only", str(made))
    return made / "ray"  # which Ray opens for all
