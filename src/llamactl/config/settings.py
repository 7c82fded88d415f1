"""The settings tree, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from llamactl.backends import backend_of
from llamactl.backends.declared import fixed, live
from llamactl.backends.settings import Section, no_null
from llamactl.config.sections import (
    AuthSettings,
    Backends,
    DatabaseSettings,
    Folders,
    InstancesSettings,
    LogSettings,
    ModelsSettings,
    NodeSettings,
)
from llamactl.config.server_settings import ServerSettings
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.scheduling.labels import read_labels


def _labels(value: Any) -> dict[str, str]:
    try:
        return read_labels("local_node_labels", value)
    except InvalidRequest as exc:
        raise ValueError(exc.message) from exc


NodeLabels = Annotated[dict[str, str], BeforeValidator(_labels)]


class Settings(Section):
    """The root of the tree."""

    server: ServerSettings = ServerSettings()
    backends: Backends = Backends()
    data_dir: Path = fixed(Path("~/.local/share/llamactl"), "folder for all of llamactl's data")
    instances: InstancesSettings = InstancesSettings()
    models: ModelsSettings = ModelsSettings()
    database: DatabaseSettings = DatabaseSettings()
    auth: AuthSettings = AuthSettings()
    log: LogSettings = LogSettings()
    allow_commands: bool = live(True, "let the API choose programs, and variables that load code")
    model_roots: Folders = live(
        (), "folders that paths given through the API must be in; empty: no limit"
    )
    local_node: str = fixed("main", "name of this machine as a node")
    local_node_labels: NodeLabels = fixed(
        {}, "labels of this machine as a node, for instances with `node_labels`"
    )
    nodes: Annotated[
        dict[str, Annotated[NodeSettings, BeforeValidator(no_null)]], BeforeValidator(no_null)
    ] = fixed({}, "other machines; they join by `llamactl node join` instead")

    @model_validator(mode="after")
    def _check(self) -> Settings:
        remote = [name for name, node in self.nodes.items() if node.address]
        if remote:
            raise ValueError(f"nodes: remote nodes join by `llamactl node join` instead: {remote}")
        if any(s.in_container and not s.container.image for s in self.backends.all()):
            raise ValueError("backends.*.docker.enabled: no image is given; set docker.image")
        auth, host = self.auth, self.server.host
        if not is_loopback(host) and not (
            auth.require_inference_auth and auth.require_management_auth
        ):
            raise ValueError(f"server.host {host} is reachable from other machines: keep auth on")
        return self

    def engine_of(self, options: InstanceOptions) -> EngineSettings:
        """That an instance with these options runs on."""
        return self.backends.engine(backend_of(options.backend_type).kind)

    @property
    def data(self) -> Path:
        return self.data_dir.expanduser().absolute()

    @property
    def spool(self) -> Path:
        given = self.server.spool_dir
        return self.data / given.expanduser() if given else self.data

    @property
    def roots(self) -> tuple[Path, ...]:
        return tuple(self.data / root.expanduser() for root in self.model_roots)

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
