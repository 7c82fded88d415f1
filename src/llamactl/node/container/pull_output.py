"""What `docker pull` and `podman pull` show on a terminal: bytes of each part, and words."""

from __future__ import annotations

import re

from llamactl.core.ports.node import PullProgress

_STEERING = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")
_SIZE = rb"([\d.]+) ?([kKMGT]?)(i?)[bB]"
# `a4e6f0c1e948: Downloading [=>  ]  557.1kB/3.147MB`
# `Copying blob 6aec0ce4eff6 [=>--] 1.2MiB / 3.0MiB`
_PART = re.compile(
    rb"(?:Copying blob )?(?:sha256:)?([0-9a-f]{8,64}):? "
    rb"(?:(Downloading|Extracting) )? *\[[^\]]*\] *" + _SIZE + rb" ?/ ?" + _SIZE
)
_WHOLE = re.compile(
    rb"(?:Copying blob )?(?:sha256:)?([0-9a-f]{8,64}):? "
    rb"(?:done|Download complete|Verifying Checksum|Pull complete)"
)
_STATE = re.compile(rb"(?:[0-9a-f]{12}: |Copying (?:blob|config) )")
_POWERS = {b"": 0, b"k": 1, b"K": 1, b"M": 2, b"G": 3, b"T": 4}
_LONGEST = 4096  # bytes of a line
_SAID = 4000  # characters that are remembered
_PARTS = 1000


class PullOutput:
    """Fed with what comes, in any pieces."""

    def __init__(self) -> None:
        self.said = ""  # the last of it, without the progress
        self._parts: dict[bytes, tuple[int, int]] = {}  # bytes there, and of how many
        self._rest = b""

    def heard(self, piece: bytes) -> PullProgress:
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest + piece)
        self._rest = self._rest[-_LONGEST:]
        for line in lines:
            self._line(_STEERING.sub(b"", line[-_LONGEST:]).strip())
        return PullProgress(*map(sum, zip((0, 0), *self._parts.values(), strict=True)))

    def _line(self, line: bytes) -> None:
        if found := _PART.match(line):
            part, doing, *sizes = found.groups()
            done, total = _bytes(sizes[:3]), _bytes(sizes[3:])
            if part in self._parts or len(self._parts) < _PARTS:
                before = self._parts.get(part, (0, 0))[0]
                done = total if doing == b"Extracting" else max(before, done)
                self._parts[part] = (min(done, total), total)
        elif found := _WHOLE.match(line):
            if (known := self._parts.get(found[1])) is not None:
                self._parts[found[1]] = (known[1], known[1])
        elif line and not _STATE.match(line):
            self.said = f"{self.said}\n{line.decode(errors='replace')}"[-_SAID:].lstrip()


def _bytes(size: list[bytes]) -> int:
    """Podman's units are powers of 1024, and say so."""
    number, unit, binary = size
    try:
        return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit])
    except (ValueError, OverflowError):
        return 0
