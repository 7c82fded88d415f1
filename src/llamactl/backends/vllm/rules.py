"""What vLLM makes of model folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llamactl.backends.vllm import memory, reading
from llamactl.core.instance import OptionValue
from llamactl.core.memory import Capacity, Need
from llamactl.core.model import ModelFacts, ModelInfo, ModelShape

Options = Mapping[str, OptionValue]
_TOOLS = re.compile(r"\{[%{][^{}]*?\btools\b")  # in a template's tags
_CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"  # GiB; it counts more than the option
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class FolderRules:
    magic = b""  # a model is a folder
    free = frozenset(
        {
            "allowed_headers", "allowed_methods", "allowed_origins", "chat_template",
            "chat_template_content_format", "default_chat_template_kwargs", "disable_log_stats",
            "enable_auto_tool_choice", "enable_log_outputs", "enable_log_requests",
            "enable_prompt_tokens_details", "generation_config", "max_log_len", "max_logprobs",
            "override_generation_config", "port", "reasoning_parser", "response_role", "seed",
            "served_model_name", "shutdown_timeout", "tool_call_parser", "uvicorn_log_level",
        }
    )  # fmt: skip

    def given(self, own: Options, words: Sequence[str], environment: Mapping[str, str]) -> Options:
        found = {**reading.parse(words), **reading.given(own)}
        if (space := environment.get(_CACHE_SPACE, "")).isdigit():
            found["kv_cache_memory_bytes"] = int(space) << 30
        for name in _VISIBLE:
            if seen := environment.get(name):
                found[memory.VISIBLE] = seen
        return found

    def parse(self, words: Sequence[str]) -> Options:
        return reading.parse(words)

    def is_router(self, given: Options) -> bool:
        return False

    def info_of(
        self,
        facts: ModelFacts | None,
        projector: ModelFacts | None,
        given: Options,
        template: str | None,
    ) -> ModelInfo:
        own = template if template is not None else facts.chat_template if facts else ""
        capabilities = _capabilities(given, own)
        context = reading.size_of(given.get("max_model_len"))
        if facts is None:
            return ModelInfo(capabilities, context=context)
        shape = facts.shape
        return ModelInfo(
            capabilities=capabilities,
            context=context or shape.context,
            trained_context=shape.context,
            size=sum(file.size for file in shape.files),
            modified=max((file.modified for file in shape.files), default=0),
            architecture=shape.architecture,
            parameters=facts.parameters,
            quantization=facts.quantization,
            embedding=shape.embedding,
            layers=shape.layers,
        )

    def estimate(
        self,
        shape: ModelShape,
        given: Options,
        *,
        draft: ModelShape | None,
        projector: int,
        devices: Sequence[str],
        capacity: Capacity,
    ) -> Need:
        return memory.estimate(shape, given, devices, capacity)

    def reserved(self, given: Options, *, devices: Sequence[str], capacity: Capacity) -> Need:
        return memory.estimate(None, given, devices, capacity)


def _capabilities(given: Options, template: str) -> tuple[str, ...]:
    if given.get("convert") == "embed" or given.get("task") in ("embed", "embedding"):
        return ("embedding",)
    if given.get("convert") == "classify" or given.get("task") in ("score", "classify"):
        return ("rerank",)
    tools = given.get("enable_auto_tool_choice") is True and _TOOLS.search(template)
    thinks = bool(given.get("reasoning_parser"))
    return ("completion", *(("tools",) if tools else ()), *(("thinking",) if thinks else ()))
