"""The management API: FastAPI routers, a file for each resource; schemas; error mapping."""

from llamactl.api.application import About, Numbers, Services, build_api
from llamactl.api.guards import guards

__all__ = ["About", "Numbers", "Services", "build_api", "guards"]
