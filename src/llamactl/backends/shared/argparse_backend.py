"""What engines have in common that are Python programs with arguments as argparse reads them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from llamactl.backends.contract import Backend
from llamactl.backends.shared import argparse_options
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.command_line import (
    Parsed,
    Reading,
    names_module,
    parse_pasted,
)
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from llamactl.policy.pasted import Pasted


class ArgparseBackend(Backend):
    """Options and pasted commands; how it is run and probed is left to each."""

    taken: ClassVar[argparse_options.Taken]
    not_pasted: ClassVar[Mapping[str, str]]  # options that are left out, and why

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return argparse_options.canonical(options, known, self.taken)

    def render(self, options: Mapping[str, OptionValue], known: Vocabulary) -> list[str]:
        """Raises InvalidOption."""
        return argparse_options.render(options, known, self.taken)

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        canonical = partial(self.canonical, known=known)
        how = Reading(known, canonical, not_taken=self.not_pasted)
        return parse_pasted(found, how, self.kind.programs)

    def runs(self, found: Pasted) -> bool:
        return names_module(found.words, self.kind.programs)
