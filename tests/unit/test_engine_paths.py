"""Who may not know where files are is told the model's name in their place, in parts of work."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.errors import BackendError
from llamactl.proxy.relay.rewriting.engine_paths import without_paths


def done(work: Generator[None, None, bytes]) -> tuple[bytes, int]:
    """What came of it, and in how many parts."""
    parts = 1
    try:
        while True:
            next(work)
            parts += 1
    except StopIteration as end:
        return end.value, parts


def texts(value: Any, key: str = "") -> list[tuple[str, str]]:
    """All strings, each with the key that holds it."""
    if isinstance(value, dict):
        return [found for k, v in value.items() for found in texts(v, k)]
    if isinstance(value, list):
        return [found for v in value for found in texts(v, key)]
    return [(key, value)] if isinstance(value, str) else []


def without(value: Any, paths: set[str]) -> Any:
    if isinstance(value, dict):
        return {k: without(v, paths) for k, v in value.items()}
    if isinstance(value, list):
        return [without(v, paths) for v in value]
    return "mine" if isinstance(value, str) and value in paths else value


words = st.sampled_from(["/m/a.gguf", "/m/ü\n\"'", "", "x", "\\", '"', "path", "é" * 700, "a/b"])
keys = st.sampled_from(["path", "model_path", "lora_paths", "pa\\th", "p", "", '"path', "x\\path"])
values = st.recursive(
    words | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(value=values, spaces=st.sampled_from([None, 1, 3000]), ascii_only=st.booleans())
def test_each_path_is_replaced_wherever_it_stands(
    value: Any, spaces: int | None, ascii_only: bool
) -> None:
    paths = {text for key, text in texts(value) if key.endswith("path") and text}
    body = json.dumps(value, indent=spaces, ensure_ascii=ascii_only)
    wanted = json.dumps(without(value, paths), indent=spaces, ensure_ascii=ascii_only)

    assert done(without_paths("mine", body.encode()))[0].decode() == wanted


def test_keys_and_paths_may_be_escaped() -> None:
    body = rb'{"mod\u0065l_p\u0061th": "\/m\/a", "x": ["/m/a", "\u002fm/a"]}'

    changed, _ = done(without_paths("mine", body))

    assert json.loads(changed) == {"model_path": "mine", "x": ["mine", "mine"]}


@pytest.mark.parametrize(
    "body",
    [
        b"", b'{"path": ', b'{"path": "/m', b"/m/a.gguf", b'{"path": /m/a}', b"[}", b"]",
        b'{"a": "\\"', b'{"path": "\\x"}', b"[" * 5000,
    ],
)  # fmt: skip
def test_what_can_not_be_read_tells_nothing(body: bytes) -> None:
    with pytest.raises(BackendError, match="is not JSON"):
        done(without_paths("mine", body))


@pytest.mark.parametrize(
    "content", [b"{},", b'"",', b"[],", b'{"path":"a"},', b"1    ,", b'"\\"",']
)
def test_whatever_an_engine_tells_is_looked_at_in_parts(content: bytes) -> None:
    body = b'{"path": "b", "a": [' + content * (300_000 // len(content)) + b'"b"]}'

    changed, parts = done(without_paths("mine", body))

    assert changed.endswith(b'"mine"]}')
    assert parts > len(body) >> 11
