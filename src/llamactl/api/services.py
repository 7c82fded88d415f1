"""What the routers work with, and who may call them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from llamactl.api.shared_work import SharedWork
from llamactl.backends import Kind
from llamactl.config import Settings, SettingsHolder
from llamactl.control.access.keys import Keys
from llamactl.control.access.sessions import Sessions
from llamactl.control.definitions import Definitions
from llamactl.control.instances import Instances
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.provisions.contexts import Contexts
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.preview import Previews
from llamactl.control.reconciler import Reconciler
from llamactl.control.records.history import History
from llamactl.control.records.request_log import RequestLog
from llamactl.control.reload import Reload
from llamactl.control.sampler import Watch
from llamactl.core.errors import Forbidden, UnsupportedMediaType
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.ports.engines import EngineProbe, Installed
from llamactl.core.ports.node import NodeInfo
from llamactl.models import Catalog, Confinement, Downloads, Hub
from llamactl.observe import Meters
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing, identify
from llamactl.policy.access.session import identify_user


@dataclass(frozen=True, slots=True)
class MetricsSources:
    """What `/metrics` is made of."""

    meters: Callable[[], Meters]
    # a running engine's own numbers, by model
    scrape: Callable[[Replica], Awaitable[Mapping[str, str]]]
    leases: Callable[[str], int]  # by instance id
    gauges: Callable[[], Mapping[str, float]]  # of the server itself
    gather: Callable[[], Awaitable[None]]  # `meters` are complete when it returns
    shown: SharedWork[bytes] = field(default_factory=SharedWork)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The installation."""

    began: float  # Unix seconds
    engine: Callable[[], str]
    command: Callable[[Kind], str]  # by the settings; "": each instance has its own
    installed: Callable[[Kind], Awaitable[Installed]]
    settings: SettingsHolder
    examine: Callable[[], Sequence[Mapping[str, Any]]]  # slow


class NodesSource(Protocol):
    """As `app.nodes_now.NodesNow`."""

    def all(self) -> Sequence[NodeInfo]: ...

    async def remove(self, name: str) -> None: ...

    async def drain(self, name: str, *, wait: bool) -> None: ...

    def resume(self, name: str) -> None: ...

    def disable_device(self, name: str, device: str) -> None: ...

    def enable_device(self, name: str, device: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings  # as llamactl was started; only those that are fixed are read here
    instances: Instances
    definitions: Definitions
    keys: Keys
    ring: KeyRing
    engines: Mapping[str, EngineProbe]  # by the backend's name in the settings
    event_log: EventLog
    numbers: MetricsSources
    degraded: Callable[[], Sequence[str]]  # parts of the server that do not work now
    reload: Reload
    reconciler: Reconciler
    upgrade: Callable[[], Awaitable[int]]  # the pid of who took over
    catalog: Catalog
    downloads: Downloads
    sessions: Sessions
    tickets: PageTickets
    previews: Previews
    watch: Watch
    hub: Hub
    confinement: Confinement
    about: ServerInfo
    contexts: Contexts
    nodes: NodesSource
    requests: RequestLog
    history: History


def services(request: Request) -> Services:
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


def management(request: Request) -> None:
    """Let management keys through, and JSON bodies only."""
    shared, caller = services(request), ANYONE
    if shared.settings.auth.require_management_auth:
        caller = _caller(request, shared.ring)
        if not caller.management:
            raise Forbidden(f"{request.scope['path']} needs a management key")
    request.state.caller = caller  # a stream ends with it
    json_alone(request)


def _caller(request: Request, ring: KeyRing) -> Caller:
    headers, path = dict(request.scope["headers"]), request.scope["path"]
    if not path.startswith("/api/v1/"):  # other programs' APIs: no page of ours calls them
        return identify(headers, ring, time.time())
    return identify_user(request.method, headers, ring, time.time())


def json_alone(request: Request) -> None:
    """Raises UnsupportedMediaType: what a form can send, a foreign page can send."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "0")
    has_body = length != "0" or "transfer-encoding" in request.headers
    if request.method in ("POST", "PUT", "PATCH") and has_body and kind != "application/json":
        raise UnsupportedMediaType('send the body as JSON, with "Content-Type: application/json"')


ServicesDep = Annotated[Services, Depends(services)]
# `management` decides; the scheme is only for the OpenAPI document.
GUARDS = [Depends(management), Depends(HTTPBearer(auto_error=False))]
