"""Who used what a process holds, and what it was asked last: known by those who send requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

_MOST_KEYS: Final = 1000  # that are named
ANY_KEY: Final = "*"  # among the keys of a context: others may have used it, nobody knows which


class SentRequest:
    """To an engine. A plain class with slots: one is made for each request."""

    __slots__ = ("answer", "at", "body")

    def __init__(self, at: float, body: Sequence[bytes], answer: bytes = b"") -> None:
        self.at = at  # Unix seconds
        self.body = body  # in pieces; none if it is not known
        self.answer = answer  # the end of a complete one

    def __repr__(self) -> str:
        return f"<SentRequest at {self.at}>"


class Proof(Protocol):
    """That what was restored is used, or not: hears of each request until it knows."""

    def sent(self) -> None:
        """A request is on its way to the engine."""

    def heard(self, prompt: int, cached: int, request: SentRequest) -> None:
        """Of a complete answer: tokens of its prompt, and how many of them the engine had."""


class ContextUse:
    """By instance id."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = defaultdict(set)  # ids of keys
        self._last: dict[str, SentRequest] = {}  # to its process
        self.proofs: dict[str, Proof] = {}  # of what was restored
        # called with an instance's id: whether its requests are watched has changed
        self.on_proof: Callable[[str], None] | None = None
        self.gather: Callable[[str], Awaitable[None]] | None = None  # see `gathered`

    def __repr__(self) -> str:
        return f"<ContextUse with {len(self.proofs)} to prove>"

    def used_by(self, instance_id: str, key: str) -> None:
        self._users[instance_id].add(key)

    def users(self, instance_id: str) -> frozenset[str]:
        """Ids of the keys that may have written in what it holds; of very many, `ANY_KEY`."""
        found = self._users[instance_id]
        return frozenset(found) if len(found) <= _MOST_KEYS else frozenset({ANY_KEY})

    def sent(self, instance_id: str, request: SentRequest) -> None:
        """An engine may compute a context of it.

        The newest one's is surely in a slot when all have been answered. So only of that one the
        body is remembered.
        """
        if (before := self._last.get(instance_id)) is not None:
            before.body = ()
        self._last[instance_id] = request
        if self.proofs and (proof := self.proofs.get(instance_id)) is not None:
            proof.sent()

    def last_sent(self, instance_id: str) -> SentRequest | None:
        """Since `begin`."""
        return self._last.get(instance_id)

    async def gathered(self, instance_id: str) -> SentRequest | None:
        """As `last_sent`, of all processes that relay."""
        if self.gather is not None:
            await self.gather(instance_id)
        return self.last_sent(instance_id)

    def learn_last(self, instance_id: str, request: SentRequest) -> None:
        """Another process sent this one."""
        before = self._last.get(instance_id)
        if before is None or before.at < request.at:
            self._last[instance_id] = request

    def begin(self, instance_id: str, keys: Collection[str], proof: Proof | None) -> None:
        """A process serves from now on; these keys wrote what it has already."""
        self._users[instance_id] = {*keys}
        self._last.pop(instance_id, None)
        self.proved(instance_id)
        if proof is not None:
            self.proofs[instance_id] = proof
            if self.on_proof is not None:
                self.on_proof(instance_id)

    def proved(self, instance_id: str) -> None:
        if self.proofs.pop(instance_id, None) is not None and self.on_proof is not None:
            self.on_proof(instance_id)

    def forget(self, instance_id: str) -> None:
        self._users.pop(instance_id, None)
        self._last.pop(instance_id, None)
        self.proved(instance_id)
