"""Where strings begin and end in JSON that comes in blocks, and what is outside of them."""

from __future__ import annotations

QUOTE, BACKSLASH = b"\x02\x03", b"\x02\x02"  # escaped ones, once cleaned; no JSON contains these


class Strings:
    """Where strings begin and end, over blocks."""

    open = False  # one continues in the next block
    escaped = False  # the next block begins within an escape

    def clean(self, block: bytes) -> bytes:
        """The block, its length kept, with no escaped quote; where there was one, no backslash."""
        if self.escaped:
            block = b"_" + block[1:]
        if b'\\"' in block or block.endswith(b"\\"):
            # a run of backslashes begins outside an escape: pairs are taken from its left
            block = block.replace(rb"\\", BACKSLASH).replace(rb"\"", QUOTE)
        return block

    def ends_open(self, clean: bytes) -> bool:
        return self.open != bool(clean.count(b'"') & 1)

    def passed(self, clean: bytes) -> None:
        """The block is looked at, up to its end."""
        self.open = self.ends_open(clean)
        self.escaped = self.open and clean.endswith(b"\\")


class ValueCounter:
    """How many values a JSON body has, as it comes: what parsing it costs goes by that."""

    def __init__(self) -> None:
        self.count = 0  # of commas and opening brackets
        self._strings = Strings()

    def feed(self, data: bytes) -> None:
        clean = self._strings.clean(data)
        text = outside(clean, in_string=self._strings.open)
        self.count += sum(map(text.count, (b",", b"{", b"[")))
        self._strings.passed(clean)


def outside(clean: bytes, *, in_string: bool) -> bytes:
    """What is not in strings."""
    if b'"' in clean:
        return b"".join(clean.split(b'"')[int(in_string) :: 2])
    return b"" if in_string else clean
