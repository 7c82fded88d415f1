"""What engines make of model folders in the layout of Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llamactl.core.instance import OptionValue
from llamactl.core.memory import NOTHING, Capacity, Need
from llamactl.core.model import ModelFacts, ModelInfo, ModelShape

Options = Mapping[str, OptionValue]
_TOOLS = re.compile(r"\{[%{][^{}]*?\btools\b")  # in a template's tags


def takes_tools(template: str) -> bool:
    return _TOOLS.search(template) is not None


class FolderRules:
    """Of an engine that serves one model, and says so of no other."""

    magic = b""  # a model is a folder
    free = frozenset[str]()
    process = 0  # bytes of RAM, whatever the model
    on_gpu = 0  # bytes that it takes of a card besides

    def given(self, own: Options, words: Sequence[str], environment: Mapping[str, str]) -> Options:
        return {**self.parse(words), **own}

    def parse(self, words: Sequence[str]) -> Options:
        return {}

    def is_router(self, given: Options) -> bool:
        return False

    def context_of(self, given: Options) -> int:
        """Tokens, by its options; 0: the model's own."""
        return 0

    def capabilities(self, given: Options, template: str) -> tuple[str, ...]:
        return ("completion", *(("tools",) if takes_tools(template) else ()))

    def info_of(
        self,
        facts: ModelFacts | None,
        projector: ModelFacts | None,
        given: Options,
        template: str | None,
    ) -> ModelInfo:
        own = template if template is not None else facts.chat_template if facts else ""
        capabilities, context = self.capabilities(given, own), self.context_of(given)
        if facts is None:
            return ModelInfo(capabilities, context=context)
        return ModelInfo.of(facts, capabilities, context or facts.shape.context)

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
        """All of a model is on the first card, or in RAM where there is none that is used."""
        taken = self.taken(shape, given, draft)
        if devices and self.uses_gpu(given):
            return Need(self.process, gpus={devices[0]: self.on_gpu + taken})
        return Need(self.process + taken)

    def uses_gpu(self, given: Options) -> bool:
        """If there is one."""
        return True

    def taken(self, shape: ModelShape, given: Options, draft: ModelShape | None) -> int:
        """Bytes of a model, as it is loaded, and of what is computed with it."""
        return shape.weights

    def reserved(self, given: Options, *, devices: Sequence[str], capacity: Capacity) -> Need:
        return NOTHING
