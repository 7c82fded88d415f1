"""The data path: from a client's request to an engine's answer, bytes unchanged."""

from llamactl.proxy.access import Access
from llamactl.proxy.doors import EnginePaths
from llamactl.proxy.front import Front
from llamactl.proxy.leases import LeaseBook
from llamactl.proxy.management import ManagementApi

__all__ = ["Access", "EnginePaths", "Front", "LeaseBook", "ManagementApi"]
