"""Engines whose settings and command lines are read, though no instance can have them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamactl.backends.contract import Kind
from llamactl.policy.definition.command_line import Parsed, Reading, parse_command
from llamactl.policy.definition.engine_help import Vocabulary

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings


def _vllm() -> BackendSettings:
    from llamactl.backends.vllm.settings import VllmSettings

    return VllmSettings()


PLANNED = (Kind("vllm", "vllm", "VLLM", "vLLM", _vllm, ("vllm",)),)


def parse_planned(kind: Kind, text: str, known: Vocabulary) -> Parsed:
    return parse_command(text, Reading(known, dict), kind.programs)
