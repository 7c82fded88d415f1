"""The management API: FastAPI routers, a file for each resource; schemas; error mapping."""

from llamactl.api.application import MetricsSources, ServerInfo, Services, build_api
from llamactl.api.guards import guards

__all__ = ["MetricsSources", "ServerInfo", "Services", "build_api", "guards"]
