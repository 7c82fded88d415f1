"""The management API: FastAPI routers, a file for each resource; schemas; error mapping."""

from llamactl.api.application import Services, build_api

__all__ = ["Services", "build_api"]
