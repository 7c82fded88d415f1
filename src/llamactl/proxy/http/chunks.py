"""The body of a message that comes in chunks (RFC 9112, 7.1)."""

from __future__ import annotations

import re
import sys
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from llamactl.core.errors import MalformedBody

_SIZE_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\Z")
_TRAILER: Final = re.compile(rb"[^\r\n\x00:]+:[^\r\n\x00]*\Z")
_LONGEST_LINE: Final = 4096  # bytes
_LONGEST_KEPT: Final = 64  # bytes of a size line
_MOST_TRAILERS: Final = 64
_CRLF: Final = b"\r\n"


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    END = auto()


class ChunkedBody:
    """Takes the framing off a body as it comes. Extensions and trailers are dropped.

    RFC 9112, 7.1.1 and RFC 9110, 6.5.1 let a recipient drop both.
    """

    def __init__(self) -> None:
        self.rest = b""  # what came after its end, or after the last chunk that was to be read
        self._at = _At.SIZE
        self._left = 0  # of a chunk
        self._trailers = 0
        self._held = b""  # an incomplete line

    def __repr__(self) -> str:
        return f"<ChunkedBody {self._at.name}>"

    @property
    def ended(self) -> bool:
        return self._at is _At.END

    def feed(self, data: bytes, most: int = sys.maxsize) -> list[bytes]:
        """What `data` brings of the body, in `most` pieces at most. Raises MalformedBody.

        If there are more, the body has not ended, and there is a `rest`.
        """
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at = self._whole(data, pieces, most) if self._at is _At.SIZE else 0
        size = len(data)
        while at < size and self._at is not _At.END and len(pieces) < most:
            if self._at is _At.DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._at = _At.DATA_END
                continue
            end = data.find(_CRLF, at)
            if end - at > _LONGEST_LINE:
                raise _malformed(data[at:end])
            if end < 0:
                self._hold(data[at:])
                return pieces
            self._line(data[at:end])
            at = end + 2
        self.rest = data[at:]
        return pieces

    def _whole(self, data: bytes, pieces: list[bytes], most: int) -> int:
        """Take the chunks that arrived complete, as nearly all do. Returns where they end."""
        at = 0
        while at < (end := data.find(_CRLF, at)) < at + _LONGEST_KEPT and len(pieces) < most:
            start = end + 2
            stop = start + _size(data[at:end])
            if stop == start or data[stop : stop + 2] != _CRLF:
                break
            pieces.append(data[start:stop])
            at = stop + 2
        return at

    def _hold(self, part: bytes) -> None:
        if len(part) > _LONGEST_LINE or (self._at is _At.DATA_END and part != b"\r"):
            raise _malformed(part)
        self._held = part

    def _line(self, line: bytes) -> None:
        if self._at is _At.SIZE:
            self._left = _size(line)
            self._at = _At.DATA if self._left else _At.TRAILER
        elif self._at is _At.DATA_END:
            if line:
                raise _malformed(line)
            self._at = _At.SIZE
        elif not line:
            self._at = _At.END
        else:
            self._trailers += 1
            if self._trailers > _MOST_TRAILERS or not _TRAILER.match(line):
                raise _malformed(line)


@lru_cache(1024)
def _size(line: bytes) -> int:
    """Of a chunk; of a few sizes, as tokens are alike in length."""
    found = _SIZE_LINE.match(line)
    if found is None:
        raise _malformed(line)
    return int(found[1], 16)


def _malformed(line: bytes) -> MalformedBody:
    # no parser after us may be given the chance to read it otherwise
    return MalformedBody(f"the body's chunks are malformed at {line[:40]!r}")
