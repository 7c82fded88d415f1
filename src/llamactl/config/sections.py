"""The sections of the settings tree: every key, its type, default, description and unit.

The keys that the Go llamactl has are named as there, so its files load unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ByteSize, Field, create_model, model_validator

from llamactl.backends import KINDS, Kind
from llamactl.backends.declared import fixed, live
from llamactl.backends.settings import BackendSettings, Section, Words
from llamactl.config.context_settings import ContextSettings
from llamactl.core.bounded_yaml import no_truth
from llamactl.core.instance import OptionDefaults
from llamactl.core.ports.node import EngineSettings


def _folders(value: Any) -> Any:
    """By commas only: a folder's name may contain spaces."""
    parts = value.split(",") if isinstance(value, str) else value
    return [p for part in parts if (p := part.strip())] if isinstance(value, str) else parts


Budget = Annotated[Literal["auto", "off"] | ByteSize, BeforeValidator(no_truth)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_folders)]


class BackendSections(Section):
    """A section for each kind of engine, as its folder has it."""

    def of(self, kind: Kind) -> BackendSettings:
        found: BackendSettings = getattr(self, kind.type)
        return found

    def engine(self, kind: Kind) -> EngineSettings:
        return self.of(kind).engine

    def commands(self) -> dict[str, list[str]]:
        """By backend type, with their arguments."""
        return {k.type: [self.of(k).command, *self.of(k).args] for k in KINDS}

    def environments(self) -> dict[str, dict[str, str]]:
        """Variables by backend type, of those that have some."""
        return {k.type: self.of(k).environment for k in KINDS if self.of(k).environment}

    def all(self) -> Iterator[BackendSettings]:
        return map(self.of, KINDS)


if TYPE_CHECKING:
    Backends = BackendSections
else:
    Backends = create_model(
        "Backends",
        __base__=BackendSections,
        **{
            kind.type: (type(kind.settings), Field(kind.settings, alias=kind.section))
            for kind in KINDS
        },
    )


class InstanceLogging(Section):
    """Rotation of the instances' logs."""

    log_rotation_enabled: bool = live(True, "move old parts of a log to archives")
    log_rotation_max_size: int = live(100, "size at which a log is rotated", "MiB", ge=1)
    log_rotation_compress: bool = live(False, "compress archives")
    log_rotation_max_files: int = live(3, "archives to keep for each log", "files", ge=1)
    log_rotation_max_age: float = live(0, "age at which an archive is deleted; 0: never", "days",
                                       ge=0)  # fmt: skip


class InstancesSettings(ContextSettings):
    """Instances: where they are, how many run, how they start and stop."""

    port_range: tuple[int, int] = live((8000, 9000), "first and last port for engines", "TCP ports")
    configs_dir: Path | None = fixed(
        None, "folder of files that declare instances, relative to `data_dir`; unset: none"
    )
    logs_dir: Path | None = fixed(
        None, "folder of the instances' logs, relative to `data_dir`; unset: `logs`"
    )
    auto_create_dirs: bool = fixed(True, "create missing folders at startup")
    max_instances: int = live(-1, "maximum number of instances; -1: no limit", "instances", ge=-1)
    max_running_instances: int = live(
        -1, "maximum number of running instances; -1: no limit", "instances", ge=-1
    )
    enable_lru_eviction: bool = live(
        True, "let a request stop the least recently used instance to make room"
    )
    default_idle_timeout: float = live(
        30, "idle time after which an instance is stopped; 0: never", "minutes", ge=0
    )
    default_auto_restart: bool = live(True, "restart an engine that crashed")
    default_max_restarts: int = live(3, "restarts in a row before giving up", "restarts", ge=0)
    default_restart_delay: float = live(5, "pause before the first restart", "seconds", ge=0)
    default_on_demand_start: bool = live(True, "start an instance when a request asks for it")
    on_demand_start_timeout: float = live(
        120, "time that a request waits for its instance", "seconds", gt=0
    )
    start_timeout: float = live(1800, "time for an engine to become ready", "seconds", gt=0)
    drain_timeout: float = live(
        60, "time for requests to finish before an instance stops", "seconds", ge=0
    )
    stop_timeout: float = live(
        10, "time between SIGTERM and SIGKILL for an engine", "seconds", ge=0
    )
    sleep_timeout: float = live(
        60, "time that an engine may take to fall asleep; then it is stopped", "seconds", gt=0
    )
    max_queue: int = live(512, "maximum number of requests that wait for a start", "requests", ge=1)
    queue_timeout: float = live(
        0, "time that a request waits for a place; 0: no separate limit", "seconds", ge=0
    )
    placement: Literal["spread", "pack"] = live(
        "spread", "of several nodes with room, choose the emptiest, or the fullest"
    )
    node_grace: float = live(
        30, "time for which a node may be away before its instances start elsewhere; 0: no limit",
        "seconds", ge=0,
    )  # fmt: skip
    scale_up_queue_time: float = live(
        5, "time that requests wait in engines' queues before one more replica is started",
        "seconds", gt=0, le=600,
    )  # fmt: skip
    scale_down_after: float = live(
        300, "time for which fewer replicas would have been enough before one is stopped",
        "seconds", ge=0,
    )  # fmt: skip
    min_residency: float = live(
        15, "time for which a busy instance is not evicted", "seconds", ge=0
    )
    eviction_drain_timeout: float = live(
        600, "time for an evicted instance to finish its requests", "seconds", ge=0
    )
    read_ahead_rate: ByteSize = live(
        ByteSize(500_000_000), "reads a model ahead while its place is made, this fast; 0: never",
        "bytes/second", ge=0,
    )  # fmt: skip
    memory_budget: Budget = live(
        "auto", "RAM for all instances; `auto`: all of it, less the margin; `off`: no limit",
        "bytes",
    )  # fmt: skip
    gpu_memory_budget: Budget = live("auto", "the same for each GPU", "bytes")
    memory_margin: float = live(
        0.1, "share of the memory that `auto` leaves free", "fraction", ge=0, lt=1
    )
    drain_policy: Literal["wait", "call_off"] = live(
        "wait", "what a request to a draining instance does: wait, or cancel the drain"
    )
    failure_cool_down: float = live(
        30, "time after which requests may start a failed instance again", "seconds", ge=0
    )
    warm_up_timeout: float = live(
        60, "time for an engine to answer its instance's `warm_up`", "seconds", gt=0
    )
    health_interval: float = live(10, "time between health checks of an engine", "seconds", gt=0)
    health_timeout: float = live(5, "time for an engine to answer a health check", "seconds", gt=0)
    unhealthy_after: float = live(
        60, "time without an answer after which an engine is restarted", "seconds", gt=0
    )
    on_exit: Literal["stop", "keep"] = live(
        "stop", "what SIGTERM does to instances; Ctrl-C always stops them"
    )
    event_retention: int = fixed(1000, "events to keep for each instance", "events", ge=1)
    history_retention: float = live(
        7, "time for which the numbers behind the charts are kept; 0: none are", "days",
        ge=0, le=7,
    )  # fmt: skip
    timeout_check_interval: float = fixed(
        5, "has no effect: idle time is measured exactly", "minutes"
    )
    group_limits: dict[str, int] = live(
        {}, "maximum number of running instances for each group; -1: no limit", "instances"
    )
    logging: InstanceLogging = InstanceLogging()

    @model_validator(mode="before")
    @classmethod
    def _read_range(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(text := values.get("port_range"), str):
            parts = [part.strip() for part in text.replace("-", ",").split(",")]
            values = {**values, "port_range": parts}
        return values

    @model_validator(mode="after")
    def _check_range(self) -> InstancesSettings:
        low, high = self.port_range
        if not 1 <= low <= high <= 65535:  # noqa: PLR2004
            raise ValueError("port_range must be [low, high] with 1 <= low <= high <= 65535")
        return self

    @property
    def defaults(self) -> OptionDefaults:
        return OptionDefaults(
            auto_restart=self.default_auto_restart,
            max_restarts=self.default_max_restarts,
            restart_delay=self.default_restart_delay,
            on_demand_start=self.default_on_demand_start,
            idle_timeout=self.default_idle_timeout,
            keep_context=self.default_keep_context,
        )


class ModelsSettings(Section):
    """Model files and downloads."""

    cache_dir: Path | None = fixed(
        None, "cache of the hub; unset: from `HF_HUB_CACHE` or `HF_HOME`"
    )
    folders: tuple[Path, ...] = fixed((), "additional folders with .gguf files")
    max_downloads: int = fixed(2, "maximum number of downloads at a time", "downloads", ge=1)


class DatabaseSettings(Section):
    """The store of instances, keys and events."""

    path: Path | None = fixed(None, "SQLite file, relative to `data_dir`; unset: `llamactl.db`")
    url: str = fixed("", "PostgreSQL URL; replaces `path`")
    max_open_connections: int = fixed(25, "has no effect: one is enough", "connections")
    max_idle_connections: int = fixed(5, "has no effect: one is enough", "connections")
    connection_max_lifetime: str = fixed("5m", "has no effect", "Go duration")


class AuthSettings(Section):
    """Who may use the server."""

    require_inference_auth: bool = fixed(True, "require a key for inference")
    require_management_auth: bool = fixed(True, "require a management key for the management API")
    management_keys: Words = fixed(
        (), "management keys; empty: one is generated and kept in a file"
    )
    session_hours: float = fixed(168, "time that a browser stays signed in", "hours", gt=0)
    hide_cached_tokens: bool = live(
        False, "tell only management keys how much of a prompt an engine had cached"
    )


class LogSettings(Section):
    """llamactl's own log."""

    format: Literal["text", "json"] = fixed("text", "format of its lines")
    level: Literal["debug", "info", "warning", "error"] = fixed("info", "lowest level to write")
    requests: bool = fixed(False, "write a line for each request")
    recent_requests: int = fixed(
        2000, "number of ended requests to keep in memory for the request log; 0: none",
        "requests", ge=0, le=20_000,
    )  # fmt: skip


class NodeSettings(Section):
    address: str = ""
    api_key: str = ""
