"""How an engine keeps what its slots hold when it ends, as its backend describes it."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamactl.policy.context_reuse import UNUSED

if TYPE_CHECKING:
    from llamactl.backends.contract import Backend, Get, Options, Start
    from llamactl.policy.definition.engine_help import Vocabulary

Post = Callable[[str, bytes], tuple[int, str]]  # status and text; OSError if there is no answer


class ContextRefused(Exception):
    """The engine's own words."""


@dataclass(frozen=True, slots=True)
class Slot:
    id: int
    tokens: int  # that it holds of requests to this process; 0: of none
    size: int  # tokens that fit
    is_busy: bool


class ContextSlots(ABC):
    def obstacle(self, start: Start) -> str:
        """Why such an engine can't keep its contexts, and what to do; "" if it can."""
        return self.excluded(start) or self.missing(start.known)

    @abstractmethod
    def excluded(self, start: Start) -> str:
        """By its definition, whatever engine runs it; "" if it is not."""

    @abstractmethod
    def missing(self, known: Vocabulary) -> str:
        """Of the engine with these options, to do it; "" if nothing is."""

    @abstractmethod
    def words(self, folder: str, known: Vocabulary) -> Sequence[str]:
        """Of the command line, for an engine without an obstacle."""

    @abstractmethod
    def depends_on(self, options: Options) -> Mapping[str, str]:
        """What a stored context fits only with, beside files and slots, by name."""

    @abstractmethod
    def files(self, options: Options) -> Mapping[str, Sequence[str]]:
        """Paths of the files that it fits only with, by the name of their option."""

    @abstractmethod
    def build(self, get: Get) -> str:
        """Of the running engine, as it says."""

    @abstractmethod
    def does_without(self, request: Mapping[str, object]) -> bool:
        """Does its body ask for an answer that does not use what the engine has?"""

    @abstractmethod
    def prompt_speed(self, get: Get) -> float:
        """Tokens a second that the running engine computed so far; 0.0: unknown."""

    @abstractmethod
    def slots(self, get: Get) -> Sequence[Slot]:
        """Of a running engine; none if it doesn't tell."""

    @abstractmethod
    def save(self, post: Post, slot: int, file: str) -> int:
        """To a file in the folder; the number of tokens. Raises ContextRefused or OSError."""

    @abstractmethod
    def restore(self, post: Post, slot: int, file: str) -> int:
        """As `save`. That it will be used is not said."""


def sort_of(contexts: ContextSlots, options: Options, program: str) -> str:
    """What of a definition decides whether contexts are used, as a digest.

    `program`: that it names, if any.
    """
    decides = [program, contexts.depends_on(options), contexts.files(options)]
    text = json.dumps(decides, sort_keys=True, default=list).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def why_not_kept(
    backend: Backend, start: Start, known: Vocabulary | None, unused: Collection[str],
    *, insists: bool,
) -> str:  # fmt: skip
    """Why the contexts of such an engine are lost when it ends; "" if they are kept.

    `known`: its options; None if nobody has asked. `unused`: sorts of definitions whose engines
    did not use what they restored. Of a kind of engine that never keeps contexts it is said only to
    who insists.
    """
    contexts = backend.contexts
    if contexts is None:
        return f"{backend.kind.title} can't save contexts" if insists else ""
    if why := contexts.excluded(start) or ("" if known is None else contexts.missing(known)):
        return why
    is_unused = not insists and sort_of(contexts, start.options, start.override) in unused
    return UNUSED if is_unused else ""
