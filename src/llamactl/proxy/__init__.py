"""The data path: from a client's request to an engine's answer, bytes unchanged."""

from llamactl.proxy.doors import EnginePaths
from llamactl.proxy.entry import Access
from llamactl.proxy.front import Front
from llamactl.proxy.leases import LeaseBook

__all__ = ["Access", "EnginePaths", "Front", "LeaseBook"]
