"""Reports to the process that decides who uses what the engines keep."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.ports.context_use import ContextUse, SentRequest
from llamactl.core.routes import Route
from llamactl.link.control_news import ProofOver, ProofWanted
from llamactl.link.proxy_news import KeyUsed, ProofHeard, ProofSent
from llamactl.proxy_process.known_requests import message_of

Said = KeyUsed | ProofSent | ProofHeard


class RemoteContextUse(ContextUse):
    """Of a proxy process. Each key is reported once for a process of an instance."""

    def __init__(self, say: Callable[[Said], None]) -> None:
        super().__init__()
        self._say = say

    def used_by(self, instance_id: str, key: str) -> None:
        known = self._users[instance_id]
        if key not in known:
            known.add(key)
            self._say(KeyUsed(instance=instance_id, key=key))

    def forget_all(self) -> None:
        """Somebody else decides from now on, who knows nothing of them."""
        self._users.clear()
        self.proofs.clear()

    def follow(self, route: Route) -> None:
        """Its next process holds nothing of anybody."""
        if route.ready is None:
            self._users.pop(route.id, None)

    def hear(self, said: ProofWanted | ProofOver) -> None:
        if isinstance(said, ProofWanted):
            self.proofs[said.instance] = RemoteProof(said.instance, self._say)
        else:
            self.proved(said.instance)


class RemoteProof:
    def __init__(self, instance_id: str, say: Callable[[Said], None]) -> None:
        self._instance_id = instance_id
        self._say = say

    def sent(self) -> None:
        self._say(ProofSent(instance=self._instance_id))

    def heard(self, prompt: int, cached: int, request: SentRequest) -> None:
        self._say(
            ProofHeard(
                instance=self._instance_id,
                prompt=prompt,
                cached=cached,
                request=message_of(request),
            )
        )
