"""Which `LLAMACTL_*` variable sets which key, and how its text becomes a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llamactl.backends import KINDS, Kind
from llamactl.backends.settings import ContainerSettings

Path = tuple[str, ...]


def _text(value: str) -> Any:
    return value


def _pairs(separator: str) -> Callable[[str], Any]:
    def parse(value: str) -> dict[str, str]:
        items = [item.partition("=") for item in value.split(separator) if item.strip()]
        if any(not equals for _, equals, _ in items):
            raise ValueError(f"write KEY=value{separator}KEY2=value2")
        return {key.strip(): text for key, _, text in items}

    return parse


def _limits(value: str) -> dict[str, int]:
    return {key: int(text) for key, text in _pairs(",")(value).items()}


def _backend(kind: Kind) -> dict[str, tuple[Path, Callable[[str], Any]]]:
    variable, at = kind.variable, ("backends", kind.section)
    rows: dict[str, tuple[Path, Callable[[str], Any]]] = {
        f"LLAMACTL_{variable}_COMMAND": ((*at, "command"), _text),
        f"LLAMACTL_{variable}_ARGS": ((*at, "args"), str.split),
        f"LLAMACTL_{variable}_ENV": ((*at, "environment"), _pairs(",")),
        f"LLAMACTL_{variable}_RESPONSE_HEADERS": ((*at, "response_headers"), _pairs(";")),
    }
    if isinstance(kind.settings, ContainerSettings):
        rows |= {
            f"LLAMACTL_{variable}_DOCKER_ENABLED": ((*at, "docker", "enabled"), _text),
            f"LLAMACTL_{variable}_DOCKER_IMAGE": ((*at, "docker", "image"), _text),
            f"LLAMACTL_{variable}_DOCKER_ARGS": ((*at, "docker", "args"), str.split),
            f"LLAMACTL_{variable}_DOCKER_ENV": ((*at, "docker", "environment"), _pairs(",")),
        }
    return rows


_DEFAULTS = ("idle_timeout", "auto_restart", "max_restarts", "restart_delay", "on_demand_start")

VARIABLES: Mapping[str, tuple[Path, Callable[[str], Any]]] = {
    "LLAMACTL_HOST": (("server", "host"), _text),
    "LLAMACTL_PORT": (("server", "port"), _text),
    "LLAMACTL_ALLOWED_ORIGINS": (("server", "allowed_origins"), _text),
    "LLAMACTL_ALLOWED_HOSTS": (("server", "allowed_hosts"), _text),
    "LLAMACTL_PROXY_PROCESSES": (("server", "proxy_processes"), _text),
    "LLAMACTL_ENABLE_SWAGGER": (("server", "enable_swagger"), _text),
    **{name: row for kind in KINDS for name, row in _backend(kind).items()},
    "LLAMACTL_DATA_DIRECTORY": (("data_dir",), _text),
    "LLAMACTL_DATA_DIR": (("data_dir",), _text),
    "LLAMACTL_ON_EXIT": (("instances", "on_exit"), _text),
    "LLAMACTL_INSTANCE_PORT_RANGE": (("instances", "port_range"), _text),
    "LLAMACTL_INSTANCES_DIR": (("instances", "configs_dir"), _text),
    "LLAMACTL_LOGS_DIR": (("instances", "logs_dir"), _text),
    "LLAMACTL_AUTO_CREATE_DATA_DIR": (("instances", "auto_create_dirs"), _text),
    "LLAMACTL_MAX_INSTANCES": (("instances", "max_instances"), _text),
    "LLAMACTL_MEMORY_BUDGET": (("instances", "memory_budget"), _text),
    "LLAMACTL_MAX_RUNNING_INSTANCES": (("instances", "max_running_instances"), _text),
    "LLAMACTL_ENABLE_LRU_EVICTION": (("instances", "enable_lru_eviction"), _text),
    **{
        f"LLAMACTL_DEFAULT_{name.upper()}": (("instances", f"default_{name}"), _text)
        for name in _DEFAULTS
    },
    "LLAMACTL_ON_DEMAND_START_TIMEOUT": (("instances", "on_demand_start_timeout"), _text),
    "LLAMACTL_TIMEOUT_CHECK_INTERVAL": (("instances", "timeout_check_interval"), _text),
    "LLAMACTL_GROUP_LIMITS": (("instances", "group_limits"), _limits),
    **{
        f"LLAMACTL_LOG_ROTATION_{name.upper()}": (
            ("instances", "logging", f"log_rotation_{name}"),
            _text,
        )
        for name in ("enabled", "max_size", "compress")
    },
    "LLAMACTL_DATABASE_PATH": (("database", "path"), _text),
    "LLAMACTL_DATABASE_URL": (("database", "url"), _text),
    "LLAMACTL_DATABASE_MAX_OPEN_CONNECTIONS": (("database", "max_open_connections"), _text),
    "LLAMACTL_DATABASE_MAX_IDLE_CONNECTIONS": (("database", "max_idle_connections"), _text),
    "LLAMACTL_DATABASE_CONN_MAX_LIFETIME": (("database", "connection_max_lifetime"), _text),
    "LLAMACTL_REQUIRE_INFERENCE_AUTH": (("auth", "require_inference_auth"), _text),
    "LLAMACTL_REQUIRE_MANAGEMENT_AUTH": (("auth", "require_management_auth"), _text),
    "LLAMACTL_MANAGEMENT_KEYS": (("auth", "management_keys"), _text),
    "LLAMACTL_LOG_FORMAT": (("log", "format"), _text),
    "LLAMACTL_LOG_LEVEL": (("log", "level"), _text),
    "LLAMACTL_ALLOW_COMMANDS": (("allow_commands",), _text),
    "LLAMACTL_MODEL_ROOTS": (("model_roots",), _text),
    "LLAMACTL_LOCAL_NODE": (("local_node",), _text),
    "LLAMACTL_LOCAL_NODE_LABELS": (("local_node_labels",), _pairs(",")),
}
