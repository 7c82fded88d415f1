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
        raise NotImplementedError

    def reserved(self, given: Options, *, devices: Sequence[str], capacity: Capacity) -> Need:
        return NOTHING
