"""A model of 1,000 MiB, as its file would say."""

from __future__ import annotations

from llamactl.core.model import ModelFile, ModelShape

MIB = 1 << 20
SHAPE = ModelShape(
    architecture="llama", files=(ModelFile("f", 1000 * MIB),), layers=10,
    layer_bytes=(90 * MIB,) * 10, other_bytes=100 * MIB, embedding_bytes=50 * MIB, context=8192,
    embedding=1024, forward=4096, heads=16, kv_heads=(4,) * 10, key_size=64, value_size=64,
)  # fmt: skip
