"""Does a pasted command run vLLM? By its program, or by the image of its container."""

from __future__ import annotations

import re
from dataclasses import replace

from llamactl.policy.definition.command_line import is_engine
from llamactl.policy.pasted import Pasted

_INTERPRETER = re.compile(r"(?:.*/)?python[\d.]*\Z")
_MODULE = re.compile(r"vllm(\.|\Z)")
_IMAGE = re.compile(r"(?<![a-z])vllm(?![a-z])", re.IGNORECASE)


def runs_vllm(found: Pasted) -> bool:
    """`vllm serve …`, `python -m vllm.entrypoints.openai.api_server …`, or its own image."""
    words = found.words
    if words and _INTERPRETER.match(words[0]):
        words = words[2:] if words[1:2] == ["-m"] else words[1:]
        return bool(words) and _MODULE.match(words[0]) is not None
    if words and not words[0].startswith("-"):
        return is_engine(words[0], ("vllm",)) or (is_vllm(found.image) and not _has_program(words))
    return is_vllm(found.image)


def is_vllm(image: str) -> bool:
    return _IMAGE.search(image) is not None


def _has_program(words: list[str]) -> bool:
    """Of its own, in place of the image's; a model is a repository or a folder."""
    return "/" not in words[0]


def with_program(found: Pasted) -> Pasted:
    """Its image serves by itself what the first word names."""
    by_image = is_vllm(found.image) and found.words[:1] and not _has_program(found.words)
    by_place = by_image and not found.words[0].startswith("-")
    return replace(found, words=["vllm", "serve", *found.words]) if by_place else found
