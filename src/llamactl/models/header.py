"""Parses the header of one GGUF file: its keys, and how large its tensors are.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files may be hostile:
every length is checked against the file before use, and the work is bounded.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

from llamactl.models.quantization import BLOCKS

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_KEYS = 1 << 16
_MOST_TENSORS = 1 << 17
_MOST_ITEMS = 1 << 22  # of all arrays together
_MOST_TEXTS = 1 << 20  # of those that are strings: tokens and merges, one by one
_MOST_TEXT = 1 << 16  # bytes of a string that is kept
_MOST_DIMENSIONS = 4
_KEPT_ITEMS = 4096  # of a longer array only the length is kept

# By the number of its type: gguf_metadata_value_type
_SCALARS = {
    0: struct.Struct("<B"), 1: struct.Struct("<b"), 2: struct.Struct("<H"),
    3: struct.Struct("<h"), 4: struct.Struct("<I"), 5: struct.Struct("<i"),
    6: struct.Struct("<f"), 7: struct.Struct("<?"), 10: struct.Struct("<Q"),
    11: struct.Struct("<q"), 12: struct.Struct("<d"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_LAYER = re.compile(r"blk\.(\d+)\.")


class TooShort(Exception):
    """What was read of the file ends before its header does."""


@dataclass(frozen=True, slots=True)
class Length:
    """What is kept of an array that is too long to be of interest."""

    items: int


@dataclass(slots=True)
class Header:
    values: dict[str, Any] = field(default_factory=dict)
    layers: dict[int, int] = field(default_factory=dict)  # bytes of weights by layer
    others: int = 0  # bytes of all other weights
    embedding: int = 0  # of those, what is looked up by token and stays in RAM
    weights: int = 0  # how many numbers the model is made of
    kinds: dict[int, int] = field(default_factory=dict)  # bytes by the number of the tensors' type


class Parser:
    def __init__(self, data: bytes | bytearray, size: int) -> None:
        """`data`: the file's beginning. `size`: of the file."""
        self._data = data
        self._size = size
        self._header = Header()
        self._at = 0
        self._items = self._texts = 0

    def read(self) -> Header:
        if self._data[:4] != _MAGIC:
            raise ValueError("it does not start with GGUF")
        self._at = 4
        version = self._number(_U32)
        if version not in _VERSIONS:
            raise ValueError(f"unknown version {version}")
        tensors, keys = self._number(_U64), self._number(_U64)
        if tensors > _MOST_TENSORS or keys > _MOST_KEYS:
            raise ValueError(f"{tensors} tensors and {keys} keys are too many")
        for _ in range(keys):
            key = self._text()
            self._header.values[key] = self._value(self._number(_U32))
        for _ in range(tensors):
            self._tensor()
        return self._header

    def _number(self, kind: struct.Struct) -> int:
        value: int = kind.unpack_from(self._data, self._at)[0]
        self._at += kind.size
        return value

    def _text(self) -> str:
        begin, size = self._at + 8, self._number(_U64)
        self._go_to(begin + size)
        return self._data[begin : begin + min(size, _MOST_TEXT)].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array(self._number(_U32), self._number(_U64))
        return self._number(_scalar(kind))

    def _array(self, kind: int, count: int) -> Any:
        self._items += count
        if self._items > _MOST_ITEMS:
            raise ValueError("its arrays have too many items")
        if kind == _STRING:
            self._texts += count
            if self._texts > _MOST_TEXTS:
                raise ValueError("it has too many strings")
            self._skip_texts(count)
            return Length(count)
        scalar = _scalar(kind)  # arrays of arrays are not in use
        begin = self._at
        self._go_to(begin + scalar.size * count)
        if count > _KEPT_ITEMS:
            return Length(count)
        return [value for (value,) in scalar.iter_unpack(self._data[begin : self._at])]

    def _skip_texts(self, count: int) -> None:
        """The tokens: a hundred thousand and more, so this loop is kept short."""
        if self._at + 8 * count > len(self._data):  # before a loop that comes to nothing
            self._go_to(self._at + 8 * count)
        data, at, read = self._data, self._at, _U64.unpack_from
        for _ in range(count):
            at += 8 + read(data, at)[0]
        self._go_to(at)

    def _go_to(self, at: int) -> None:
        if at > self._size:
            raise ValueError("a value is longer than the file")
        if at > len(self._data):
            raise TooShort
        self._at = at

    def _tensor(self) -> None:
        name = self._text()
        dimensions = self._number(_U32)
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"tensor {name[:80]!r} has {dimensions} dimensions")
        count = 1
        for _ in range(dimensions):
            count *= self._number(_U64)
        kind, _ = self._number(_U32), self._number(_U64)
        block = BLOCKS.get(kind)
        if block is None:
            raise ValueError(f"tensor {name[:80]!r} has the unknown type {kind}")
        size = count // block.items * block.size
        if size > self._size:
            raise ValueError(f"tensor {name[:80]!r} is larger than the file")
        self._header.weights += count
        self._header.kinds[kind] = self._header.kinds.get(kind, 0) + size
        layer = _LAYER.match(name)
        if layer is not None:
            number = int(layer.group(1))
            self._header.layers[number] = self._header.layers.get(number, 0) + size
            return
        self._header.others += size
        if name == "token_embd.weight":
            self._header.embedding += size


def _scalar(kind: int) -> struct.Struct:
    scalar = _SCALARS.get(kind)
    if scalar is None:
        raise ValueError(f"a value has the unknown type {kind}")
    return scalar
