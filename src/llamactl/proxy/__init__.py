"""The data path: from a client's request to an engine's answer, bytes unchanged."""

from llamactl.proxy.relay.leases import LeaseBook
from llamactl.proxy.routing.access import Access
from llamactl.proxy.routing.endpoints import EnginePaths
from llamactl.proxy.routing.management import ManagementApi
from llamactl.proxy.server import ProxyServer

__all__ = ["Access", "EnginePaths", "LeaseBook", "ManagementApi", "ProxyServer"]
