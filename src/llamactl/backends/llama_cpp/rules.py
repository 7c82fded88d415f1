"""What llama-server makes of GGUF files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.backends.llama_cpp import memory, models, options
from llamactl.core.instance import OptionValue
from llamactl.core.memory import NOTHING, UNKNOWN, Capacity, Need
from llamactl.core.model import ModelFacts, ModelInfo, ModelShape

Options = Mapping[str, OptionValue]


class GgufRules:
    magic = b"GGUF"
    free = frozenset(
        {
            "alias", "chat_template", "frequency_penalty", "log_prefix", "log_timestamps",
            "metrics", "min_p", "port", "predict", "presence_penalty", "props", "repeat_penalty",
            "seed", "slots", "temp", "threads", "threads_batch", "threads_http", "timeout",
            "top_k", "top_p", "verbosity",
        }
    )  # fmt: skip

    def given(
        self, options: Options, words: Sequence[str], environment: Mapping[str, str]
    ) -> Options:
        return models.given(options, words, environment)

    def parse(self, words: Sequence[str]) -> Options:
        return options.parse(words)

    def is_router(self, options: Options) -> bool:
        return models.is_router(options)

    def info_of(
        self,
        facts: ModelFacts | None,
        projector: ModelFacts | None,
        options: Options,
        template: str | None,
    ) -> ModelInfo:
        return models.info_of(facts, projector, options, template)

    def estimate(
        self,
        shape: ModelShape,
        options: Options,
        *,
        draft: ModelShape | None,
        projector: int,
        devices: Sequence[str],
        capacity: Capacity = UNKNOWN,
    ) -> Need:
        used = devices or memory.unknown_devices(options)
        return memory.estimate(shape, options, draft=draft, projector=projector, devices=used)

    def reserved(self, options: Options, *, devices: Sequence[str], capacity: Capacity) -> Need:
        return NOTHING
