"""The settings tree: every key, its type and its default.

The keys that the Go llamactl has are named as there, so its files load unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from llamactl.backends import KINDS, Kind
from llamactl.backends.settings import BackendSettings, Words, no_null
from llamactl.core.instance import OptionDefaults


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Budget = Literal["auto", "off"] | ByteSize


class ServerSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    allowed_origins: Words = ()
    allowed_headers: Words = ("*",)
    allowed_hosts: Words = ()  # names, beside loopback ones, that may stand in Host
    enable_swagger: bool | None = None  # None: on loopback only
    metrics_open: bool = False  # `/metrics` without a key
    max_connections: int = Field(4096, ge=1)  # of clients; some more are kept for management
    max_connections_per_address: int = Field(512, ge=1)  # loopback and Unix sockets excepted
    max_client_memory: int = Field(128 << 20, ge=1 << 20)  # bytes that all of them hold together
    max_header_size: int = Field(64 << 10, ge=1024)  # bytes
    max_json_size: int = Field(64 << 20, ge=1024)  # bytes of a request's body
    max_upload_size: int = Field(512 << 20, ge=1024)  # bytes of a multipart or raw-proxy body
    spool_dir: Path | None = None  # where large bodies wait; else the data directory
    spool_size: ByteSize = Field(ByteSize(4 << 30), ge=0)  # of all that waits there
    spool_share: float = Field(0.25, gt=0, le=1)  # of it, for each key
    spool_free_space: ByteSize = Field(ByteSize(512 << 20), ge=0)  # left alone on its disk
    header_timeout: float = Field(30, gt=0)  # seconds until a request's headers are whole
    body_timeout: float = Field(60, gt=0)  # seconds without a byte of a request's body
    keep_alive_timeout: float = Field(75, gt=0)  # seconds that an idle connection is kept
    first_byte_timeout: float = Field(3600, gt=0)  # seconds until an engine begins its answer
    stream_idle_timeout: float = Field(600, gt=0)  # seconds without a byte of an answer
    upgrade_timeout: float = Field(
        600, ge=0
    )  # seconds that a replaced llamactl goes on with what it relays
    loading_comments: float = Field(
        0, ge=0
    )  # seconds between comments to a waiting stream; 0: none
    list_aliases: bool = False  # in /v1/models as models of their own
    v1_errors: Literal["auto", "openai", "reference"] = (
        "auto"  # the form of errors; auto: by client
    )


class BackendSections(_Section):
    """A section for each kind of engine, as its folder has it."""

    def of(self, kind: Kind) -> BackendSettings:
        found: BackendSettings = getattr(self, kind.type)
        return found

    def commands(self) -> dict[str, list[str]]:
        """By backend type, with their arguments."""
        return {k.type: [self.of(k).command, *self.of(k).args] for k in KINDS}

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


class InstanceLogging(_Section):
    log_rotation_enabled: bool = True
    log_rotation_max_size: int = Field(100, ge=1)  # MB
    log_rotation_compress: bool = False
    log_rotation_max_files: int = Field(5, ge=1)  # archives kept of each log
    log_rotation_max_age: float = Field(0, ge=0)  # days that an archive is kept; 0: no limit


class InstancesSettings(_Section):
    port_range: tuple[int, int] = (8000, 9000)
    configs_dir: Path | None = None
    logs_dir: Path | None = None
    auto_create_dirs: bool = True
    max_instances: int = Field(-1, ge=-1)
    max_running_instances: int = Field(-1, ge=-1)
    enable_lru_eviction: bool = True
    default_idle_timeout: float = Field(30, ge=0)  # minutes, 0 = never
    default_auto_restart: bool = True
    default_max_restarts: int = Field(3, ge=0)
    default_restart_delay: float = Field(5, ge=0)  # seconds
    default_on_demand_start: bool = True
    on_demand_start_timeout: float = Field(120, gt=0)  # seconds
    start_timeout: float = Field(1800, gt=0)  # seconds
    drain_timeout: float = Field(60, ge=0)  # seconds
    stop_timeout: float = Field(10, ge=0)  # seconds between SIGTERM and SIGKILL
    max_queue: int = Field(512, ge=1)  # requests that may wait for a start
    queue_timeout: float = Field(0, ge=0)  # seconds to wait for a place; 0: as long as for a start
    min_residency: float = Field(15, ge=0)  # seconds for which a busy instance is not evicted
    eviction_drain_timeout: float = Field(600, ge=0)  # seconds that a busy victim may go on
    memory_budget: Budget = "auto"  # of RAM for all instances; auto: what there is, less the margin
    gpu_memory_budget: Budget = "auto"  # the same, of each GPU
    memory_margin: float = Field(0.1, ge=0, lt=1)  # share of the memory that is left alone
    drain_policy: Literal["wait", "call_off"] = "wait"  # for requests to an instance that drains
    failure_cool_down: float = Field(30, ge=0)  # seconds until requests may start a failed one
    health_interval: float = Field(10, gt=0)  # seconds between two looks at a ready engine
    health_timeout: float = Field(5, gt=0)  # seconds for its answer
    unhealthy_after: float = Field(60, gt=0)  # seconds without one until it is restarted
    on_exit: Literal["stop", "keep"] = "stop"  # what SIGTERM does to instances; Ctrl-C stops them
    event_retention: int = Field(1000, ge=1)  # rows kept for each instance
    timeout_check_interval: float = 5  # accepted for compatibility; idle is timed exactly
    group_limits: dict[str, int] = {}
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
        )


class ModelsSettings(_Section):
    cache_dir: Path | None = None  # the hub's cache; else as HF_HUB_CACHE and HF_HOME say
    folders: tuple[Path, ...] = ()  # of .gguf files
    max_downloads: int = Field(2, ge=1)  # at the same time


class DatabaseSettings(_Section):
    path: Path | None = None
    url: str = ""
    max_open_connections: int = 25
    max_idle_connections: int = 5
    connection_max_lifetime: str = "5m"


class AuthSettings(_Section):
    require_inference_auth: bool = True
    require_management_auth: bool = True
    management_keys: Words = ()
    session_hours: float = Field(168, gt=0)  # that a browser stays signed in


class LogSettings(_Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    requests: bool = False  # a line for each request


class NodeSettings(_Section):
    address: str = ""
    api_key: str = ""


class Settings(_Section):
    server: ServerSettings = ServerSettings()
    backends: Backends = Backends()
    data_dir: Path = Path("~/.local/share/llamactl")
    instances: InstancesSettings = InstancesSettings()
    models: ModelsSettings = ModelsSettings()
    database: DatabaseSettings = DatabaseSettings()
    auth: AuthSettings = AuthSettings()
    log: LogSettings = LogSettings()
    local_node: str = "main"
    nodes: Annotated[
        dict[str, Annotated[NodeSettings, BeforeValidator(no_null)]], BeforeValidator(no_null)
    ] = {}

    @model_validator(mode="after")
    def _check(self) -> Settings:
        remote = [name for name, node in self.nodes.items() if node.address]
        if remote:
            raise ValueError(f"nodes: remote nodes are not available in this version: {remote}")
        if any(section.in_container for section in self.backends.all()):
            raise ValueError("backends.*.docker.enabled: Docker is not available in this version")
        auth, host = self.auth, self.server.host
        if not is_loopback(host) and not (
            auth.require_inference_auth and auth.require_management_auth
        ):
            raise ValueError(f"server.host {host} is reachable from other machines: keep auth on")
        return self

    @property
    def data(self) -> Path:
        return self.data_dir.expanduser().absolute()

    @property
    def spool(self) -> Path:
        given = self.server.spool_dir
        return self.data / given.expanduser() if given else self.data

    @property
    def declarations(self) -> Path | None:
        """Where instances are declared in files; None where nobody said so."""
        given = self.instances.configs_dir
        return self.data / given.expanduser() if given else None

    @property
    def logs(self) -> Path:
        given = self.instances.logs_dir
        return self.data / given.expanduser() if given else self.data / "logs"

    def model_cache(self, environ: Mapping[str, str]) -> Path:
        """As huggingface_hub finds it: its environment variables are in its documentation."""
        if self.models.cache_dir is not None:
            return self.models.cache_dir.expanduser()
        if hub := environ.get("HF_HUB_CACHE"):
            return Path(hub).expanduser()
        caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = environ.get("HF_HOME") or f"{caches}/huggingface"
        return Path(home).expanduser() / "hub"

    @property
    def database_url(self) -> str:
        if self.database.url:
            return self.database.url
        path = self.database.path
        return f"sqlite:///{self.data / (path.expanduser() if path else 'llamactl.db')}"

    @property
    def swagger(self) -> bool:
        given = self.server.enable_swagger
        return is_loopback(self.server.host) if given is None else given


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
