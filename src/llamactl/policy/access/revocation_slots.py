"""How revocations lie in their file: slots of one size, each with a checksum. Pure.

A slot is written in place and within one sector, so an interrupted write damages no other.
"""

from __future__ import annotations

import zlib

from llamactl.core.keys import Revocation

SLOT = 64  # bytes; a sector is a multiple of it
COUNT = 1024
SIZE = SLOT * COUNT
HEADER = b"llamactl revocations 1\n".ljust(SLOT, b"\0")  # the first slot
EMPTY = bytes(SLOT)
MOST_SESSIONS = COUNT * 3 // 4  # so that sign-outs leave room for keys
_CHECKSUM, _HEAD = 4, 6  # bytes; the head has the kind and the id's length as well
_KINDS = {"key": 1, "session": 2}
_NAMES = {number: kind for kind, number in _KINDS.items()}


def encode(revocation: Revocation) -> bytes:
    """Raises ValueError for an id that is too long."""
    if len(revocation.id) > SLOT - _HEAD:
        raise ValueError(f"an id of {len(revocation.id)} bytes does not fit into a slot")
    said = bytes([_KINDS[revocation.kind], len(revocation.id)]) + revocation.id
    said = said.ljust(SLOT - _CHECKSUM, b"\0")
    return zlib.crc32(said).to_bytes(_CHECKSUM, "big") + said


def decode(slot: bytes) -> Revocation | None:
    """None for a slot that is empty, or was not written to its end."""
    said, kind = slot[_CHECKSUM:], _NAMES.get(slot[_CHECKSUM] if len(slot) == SLOT else 0)
    if kind is None or zlib.crc32(said) != int.from_bytes(slot[:_CHECKSUM], "big"):
        return None
    return Revocation("key" if kind == "key" else "session", said[2 : 2 + said[1]])
