"""What a backend makes of model files: which it reads, what it serves of them, what they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from llamactl.core.instance import OptionValue
from llamactl.core.memory import Capacity, Need
from llamactl.core.model import ModelFacts, ModelInfo, ModelShape

Options = Mapping[str, OptionValue]


class ModelRules(Protocol):
    @property
    def magic(self) -> bytes:
        """The first bytes of every model file."""
        ...

    @property
    def free(self) -> frozenset[str]:
        """Options that change nothing of the memory; whatever else there is may."""
        ...

    def given(
        self, options: Options, words: Sequence[str], environment: Mapping[str, str]
    ) -> Options:
        """All options that an engine gets, by their names.

        `words`: its arguments from the settings. `environment`: counts least.
        """
        ...

    def parse(self, words: Sequence[str]) -> Options:
        """Options from the engine's own flags."""
        ...

    def is_router(self, options: Options) -> bool:
        """Does it serve several models, each under a name of its own?"""
        ...

    def info_of(
        self,
        facts: ModelFacts | None,
        projector: ModelFacts | None,
        options: Options,
        template: str | None,
    ) -> ModelInfo:
        """`facts`, `projector`: None where the file can't be read.

        `template`: in place of the model's own.
        """
        ...

    def estimate(
        self,
        shape: ModelShape,
        options: Options,
        *,
        draft: ModelShape | None,
        projector: int,
        devices: Sequence[str],
        capacity: Capacity,
    ) -> Need:
        """`projector`: bytes of the mmproj file. `devices`: GPUs that we see."""
        ...

    def reserved(self, options: Options, *, devices: Sequence[str], capacity: Capacity) -> Need:
        """What it takes of a model that can't be read."""
        ...
