"""Does a pasted command run vLLM? By its program, or by the image of its container."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from llamactl.core.errors import InvalidRequest
from llamactl.policy.definition.command_line import is_engine
from llamactl.policy.pasted import Pasted

_INTERPRETER = re.compile(r"(?:.*/)?python[\d.]*\Z")
_SERVE = "serve"
_MODULE = re.compile(r"vllm(\.|\Z)")
_IMAGE = re.compile(r"(?<![a-z])vllm(?![a-z])", re.IGNORECASE)


# What its program does besides serving.
_OTHERS = frozenset(
    {"bench", "chat", "collect-env", "complete", "download-kernels", "launch", "preload",
     "run-batch", "snapshot"}
)  # fmt: skip


def check_serves(found: Pasted) -> None:
    """Raises InvalidRequest."""
    if not_serving(found.words):
        raise InvalidRequest(
            f"the command can't be read: `vllm {found.words[1]}` does not serve; paste a command "
            "that runs `vllm serve`"
        )


def not_serving(words: Sequence[str]) -> bool:
    return is_engine(words[0], ("vllm",)) and words[1] in _OTHERS if len(words) > 1 else False


def its_interpreter(found: Pasted) -> list[str]:
    """What becomes of the environment whose interpreter it names."""
    program = found.words[0] if found.words else ""
    if found.image or "/" not in program or not _INTERPRETER.match(program):
        return []
    return [f"{program}: the configured vllm is used; give the path of its `vllm` to use another"]


def runs_vllm(found: Pasted) -> bool:
    """`vllm serve …`, `python -m vllm.entrypoints.openai.api_server …`, or its own image."""
    words = found.words
    if words and _INTERPRETER.match(words[0]):
        words = words[2:] if words[1:2] == ["-m"] else words[1:]
        return bool(words) and _MODULE.match(words[0]) is not None
    if not_serving(words):
        return False
    if words and not words[0].startswith("-"):
        return is_engine(words[0], ("vllm",)) or (is_vllm(found.image) and not _has_program(words))
    return is_vllm(found.image)


def is_vllm(image: str) -> bool:
    return _IMAGE.search(image) is not None


def _has_program(words: list[str]) -> bool:
    """Of its own, in place of the image's; a model is a repository or a folder."""
    return "/" not in words[0] and words[0] != _SERVE


def with_program(found: Pasted) -> Pasted:
    """Its image serves by itself what the first word names."""
    by_image = is_vllm(found.image) and found.words[:1] and not _has_program(found.words)
    if not by_image or found.words[0].startswith("-"):
        return found
    named = [] if found.words[0] == _SERVE else [_SERVE]
    return replace(found, words=["vllm", *named, *found.words])
