"""GGUF files that were made to do harm: a clear error each, and little memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from llamactl.models import UnreadableModel, inspect
from support.gguf_file import write_tiny_gguf

_HUGE = (1 << 64) - 1


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _file(keys: list[bytes], tensors: bytes = b"", n_tensors: int = 0, n_keys: int = -1) -> bytes:
    count = len(keys) if n_keys < 0 else n_keys
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, count) + b"".join(keys) + tensors


def _tensor(name: str, sizes: tuple[int, ...], kind: int, at: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return _text(name) + dimensions + struct.pack("<IQ", kind, at)


def hostile(whole: bytes) -> Iterator[bytes]:
    """Two hundred of them."""
    rng = random.Random(1)
    for _ in range(60):  # truncated, and nothing of its end left out by chance
        yield whole[: rng.randrange(4, 6000)]
    for n in (1 << 16, 1 << 32, 1 << 63, _HUGE):
        yield _file([], n_keys=n)
        yield _file([], n_tensors=n)
        yield _file([struct.pack("<Q", n)], n_keys=1)  # a key's name
        yield _file([_key("a", 8, struct.pack("<Q", n))])
        for kind in (0, 4, 8, 9, 12, 99):
            yield _file([_key("a", 9, struct.pack("<IQ", kind, n))])
        for dimensions in ((n,), (n, n), (n, n, n, n)):
            yield _file([], _tensor("t", dimensions, 0), 1)
        yield _file([], struct.pack("<Q", n), 1)
        yield _file([_key("general.architecture", 8, _text("llama")),
                     _key("llama.block_count", 10, struct.pack("<Q", n))])  # fmt: skip
    for kind in range(13, 60):
        yield _file([_key("a", kind, bytes(64))])
    for depth in (2, 10, 1000):  # arrays of arrays
        yield _file([_key("a", 9, struct.pack("<IQ", 9, 1) * depth)])
    for many in (1 << 10, 1 << 14, 1 << 16):
        yield _file([_key("same", 4, bytes(4))] * many + [b"\xff" * 8], n_keys=many + 1)
    texts = struct.pack("<IQ", 8, 2_500_000) + bytes(8 * 2_500_000)
    yield _file([_key("tokens", 9, texts)])
    yield _file([_key("tokens", 9, struct.pack("<IQ", 8, 1 << 20) + b"\x08" * (20 << 20))])
    yield _file([_key(f"k{n}", 8, _text("x" * 65_000)) for n in range(400)])
    yield _file([], b"".join(_tensor(f"t{n}", (1,), 0) for n in range(1 << 10)), _HUGE)
    for count in (0, 5, 1 << 31):
        yield _file([], _text("t") + struct.pack("<I", count) + bytes(64), 1)
    for _ in range(20):
        broken = bytearray(whole)
        broken[24 : 24 + 400] = rng.randbytes(400)
        yield bytes(broken)


def test_each_is_refused_in_little_memory(tmp_path: Path) -> None:
    good, path = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    write_tiny_gguf(good)
    files = [*hostile(good.read_bytes())]
    assert len(files) >= 200

    for number, data in enumerate(files):
        path.write_bytes(data)
        tracemalloc.start()
        try:
            inspect(path)
        except UnreadableModel as exc:
            assert str(exc) and len(str(exc)) < 400, number
        else:
            raise AssertionError(f"{number} was taken: {data[:200]!r}")
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 50 << 20, (number, peak)
