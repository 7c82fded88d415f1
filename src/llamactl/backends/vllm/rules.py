"""What vLLM makes of model folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.backends.shared.folder_rules import FolderRules, Options, takes_tools
from llamactl.backends.vllm import memory, reading
from llamactl.core.memory import Capacity, Need
from llamactl.core.model import ModelShape

_CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"  # GiB; it counts more than the option
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class VllmRules(FolderRules):
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

    def context_of(self, given: Options) -> int:
        return reading.size_of(given.get("max_model_len"))

    def capabilities(self, given: Options, template: str) -> tuple[str, ...]:
        if given.get("convert") == "embed" or given.get("task") in ("embed", "embedding"):
            return ("embedding",)
        if given.get("convert") == "classify" or given.get("task") in ("score", "classify"):
            return ("rerank",)
        tools = given.get("enable_auto_tool_choice") is True and takes_tools(template)
        thinks = bool(given.get("reasoning_parser"))
        return ("completion", *(("tools",) if tools else ()), *(("thinking",) if thinks else ()))

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
