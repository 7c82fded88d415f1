"""Ollama's requests, translated; a large one by a process of its own, with the same outcome."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llamactl.compat.ollama.translation import Form, Translation, translate
from llamactl.compat.ollama.translator import SMALL, Translator
from llamactl.core.errors import InvalidRequest, LlamactlError

IMAGE = "/9j/" + "A" * (2 << 20)
LONGEST = 1 << 20
LARGE: list[tuple[Form, dict[str, Any]]] = [
    ("chat", {"model": "m", "messages": [{"role": "user", "content": "x", "images": [IMAGE]}]}),
    (
        "chat",
        {"model": "m", "messages": [{"role": "user", "content": "\n" * SMALL}], "think": True},
    ),
    ("generate", {"model": "m", "prompt": "é\n" * SMALL, "stream": False, "keep_alive": 0}),
    ("generate", {"model": "m", "prompt": "a" * SMALL, "suffix": "b"}),
    ("embed", {"model": "m", "input": ["a\n" * 100] * 1000, "dimensions": 8}),
    ("embed", {"model": "m", "input": "a" * (2 * LONGEST)}),
    ("embeddings", {"model": "m", "prompt": "a" * SMALL}),
]


async def pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(body), 8192):
        yield body[at : at + 8192]


def translated(form: Form, body: bytes) -> Translation:
    return asyncio.run(Translator().translated(form, pieces(body)))


def said(form: Form, done: Translation) -> tuple[bytes, Any]:
    """The parts of an object are cut anywhere, those of a list are lists."""
    embeds = form.startswith("embed")
    parts = (
        [json.loads(part) for part in done.parts] if embeds else json.loads(b"".join(done.parts))
    )
    return done.head(), parts


@pytest.mark.parametrize(("form", "asked"), LARGE)
def test_a_large_request_is_translated_outside_and_alike(
    form: Form, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(asked).encode()
    monkeypatch.setattr("llamactl.compat.ollama.translator.translate", forbidden)

    outside = translated(form, body)

    assert said(form, outside) == said(form, translate(form, body))


def forbidden(form: Form, body: bytes) -> Translation:
    raise AssertionError("a large request was parsed in our own process")


def test_a_small_request_costs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)

    done = translated("chat", b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')

    assert b"".join(done.body("tiny")).startswith(b'{"model":"tiny","stream":true,"messages":')


@pytest.mark.parametrize(
    ("form", "body", "reason"),
    [
        ("chat", b'{"model": "m", "messages": [' + b"{}," * SMALL, "Invalid JSON"),
        ("chat", b'{"model": "m", "messages": ' + b"[" * SMALL * 2, "recursion limit"),
        ("chat", json.dumps({"model": "m", "format": "x" * SMALL * 2}).encode(), ""),
        ("embed", b'{"model": "m", "truncate": false, "input": "' + b"a" * 2 * LONGEST + b'"}',
         "longer than 1,048,576 characters"),
        ("generate", b'{"model": "m", "prompt": "' + b"a" * SMALL + b'", "options": '
         b'{"seed": 100000000000000000000}}', "can't be forwarded"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_large_request_is_said(form: Form, body: bytes, reason: str) -> None:
    if not reason:
        assert translated(form, body).parts == ()
        return
    with pytest.raises(InvalidRequest, match=reason):
        translated(form, body)


def test_a_process_that_fails_costs_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    body = json.dumps({"model": "m", "prompt": "a" * SMALL}).encode()

    with pytest.raises(LlamactlError, match="translates large requests"):
        translated("generate", body)


def test_what_is_embedded_comes_in_batches_that_are_small() -> None:
    texts = ["a" * 10] * 100 + ["b" * 200_000] * 3 + ["c" * 2 * LONGEST, ""]

    done = translate("embed", json.dumps({"model": "m", "input": texts}).encode())

    batches = [json.loads(part) for part in done.parts]
    assert [text[:LONGEST] for text in texts] == [text for batch in batches for text in batch]
    assert all(len(batch) <= 32 for batch in batches)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= 1 << 18 for batch in batches)


@pytest.mark.parametrize("given", ["", [], None])
def test_nothing_to_embed_is_no_batch(given: Any) -> None:
    assert translate("embed", json.dumps({"model": "m", "input": given}).encode()).parts == ()
