"""Who may come in, as the settings and the keys say."""

from __future__ import annotations

import time
from dataclasses import dataclass

from llamactl.config import Settings
from llamactl.core.errors import Forbidden, Unauthenticated
from llamactl.core.keys import ANYONE, GUEST, Caller
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing, identify, token_of
from llamactl.policy.access.session import identify_user
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request


@dataclass(frozen=True, slots=True)
class Access:
    keys: KeyRing
    tickets: PageTickets
    hosts: frozenset[str]
    origins: frozenset[str]
    inference_auth: bool
    management_auth: bool

    @classmethod
    def of(cls, settings: Settings, keys: KeyRing, tickets: PageTickets) -> Access:
        server, auth = settings.server, settings.auth
        hosts = frozenset(host.lower() for host in (*server.allowed_hosts, server.host))
        origins = frozenset(server.allowed_origins)
        inference, management = auth.require_inference_auth, auth.require_management_auth
        return cls(keys, tickets, hosts, origins, inference, management)

    def holder(self, head: RequestHead) -> Caller | None:
        """The caller by the key in the headers; None if it is missing or wrong."""
        if not token_of(head.fields):
            return None
        try:
            return identify(head.fields, self.keys, time.time())
        except Unauthenticated:
            return None

    def user(self, head: RequestHead) -> Caller:
        """By a key or a session. Raises Unauthenticated."""
        return identify_user(head.method.decode("latin-1"), head.fields, self.keys, time.time())

    def manager(self, head: RequestHead) -> Caller:
        """Raises Unauthenticated or Forbidden."""
        if not self.management_auth:
            return ANYONE
        caller = self.user(head)
        if not caller.management:
            raise Forbidden(f"{head.path[:200]} needs a management key")
        return caller

    def visitor(self, head: RequestHead) -> Caller:
        """Where the management API needs no key; GUEST if it is a stranger."""
        if not self.management_auth:
            return ANYONE
        try:
            return self.user(head)
        except Unauthenticated:
            return GUEST

    def share(self, request: Request) -> None:
        """Let a configured page read the answer; the management API's middleware does its own."""
        origin = request.head.fields.get(b"origin")
        if origin is not None and self.origins:
            shown = b"*" if "*" in self.origins else origin
            origins = [(b"access-control-allow-origin", shown), (b"vary", b"Origin")]
            request.added = [*request.added, *origins]
