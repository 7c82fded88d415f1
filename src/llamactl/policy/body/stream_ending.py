"""Did an event stream end, or was it cut? Where its framing can't tell, its events do.

An answer without a length ends with its connection (RFC 9112, 6.3), and so does one whose engine
died. Streams of OpenAI's and Anthropic's APIs say when they are complete:
https://platform.openai.com/docs/api-reference/chat-streaming
https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import re
from typing import Final

# A quote within a JSON string is escaped, a line end too: generated text can't look like these.
_BEGUN: Final = re.compile(rb'"choices"\s*:|\nevent: ?(?:message_start|response\.created)')
_ENDED: Final = re.compile(
    rb'\ndata: ?(?:\[DONE\]|\{"error"|\{"type": ?"error")|\nevent: ?error|\nerror:'
    rb'|"finish_reason"\s*:\s*"'
    rb"|\nevent: ?(?:message_stop|response\.(?:completed|incomplete|failed))"
)
_OVERLAP: Final = 40  # bytes; no mark is longer, if it is written as usual


class StreamEnding:
    """Of one answer."""

    __slots__ = ("_begun", "_ended", "_last")

    def __init__(self) -> None:
        self._begun = self._ended = False
        self._last = b"\n"

    @property
    def is_missing(self) -> bool:
        """It is a stream of an API that has an ending, and that did not come."""
        return self._begun and not self._ended

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        seen = (self._last + data).replace(b"\r\n", b"\n")
        self._begun = self._begun or _BEGUN.search(seen) is not None
        self._ended = _ENDED.search(seen) is not None
        self._last = seen[-_OVERLAP:]
