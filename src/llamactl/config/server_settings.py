"""The settings of the address that llamactl listens on, and of its clients."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ByteSize

from llamactl.backends.declared import fixed
from llamactl.backends.settings import Section, Words


class ServerSettings(Section):
    """The address that llamactl listens on, and the limits for clients."""

    host: str = fixed("127.0.0.1", "address to listen on")
    port: int = fixed(8080, "port to listen on; 0 picks a free one", "TCP port", ge=0, le=65535)
    allowed_origins: Words = fixed((), "origins whose web pages may call the API; `*` for all")
    allowed_headers: Words = fixed(("*",), "request headers that such pages may send")
    allowed_hosts: Words = fixed((), "names that clients may use in `Host`, besides loopback names")
    enable_swagger: bool | None = fixed(
        None, "serve the API's documentation at `/swagger/`; unset: on loopback addresses only"
    )
    metrics_open: bool = fixed(False, "serve `/metrics` without a key")
    proxy_processes: int = fixed(
        1,
        "processes that relay requests; 1: the server's own, which also decides about instances",
        "processes",
        ge=1,
        le=64,
    )
    max_connections: int = fixed(
        4096, "client connections; a few more are reserved for management", "connections", ge=1
    )
    max_connections_per_address: int = fixed(
        512,
        "connections from one address; loopback and Unix sockets are exempt",
        "connections",
        ge=1,
    )
    max_client_memory: int = fixed(
        128 << 20, "memory that all connections may hold together", "bytes", ge=1 << 20
    )
    max_header_size: int = fixed(64 << 10, "size of a request's headers", "bytes", ge=1024)
    max_json_size: int = fixed(64 << 20, "size of a JSON body", "bytes", ge=1024)
    max_upload_size: int = fixed(
        512 << 20, "size of a multipart body, or of any body on the raw proxy", "bytes", ge=1024
    )
    spool_dir: Path | None = fixed(
        None,
        "folder where large bodies are buffered, relative to `data_dir`; unset: `data_dir` itself",
    )
    spool_size: ByteSize = fixed(
        ByteSize(4 << 30), "disk space for all buffered bodies", "bytes", ge=0
    )
    spool_share: float = fixed(
        0.25, "share of that space that one key may use", "fraction", gt=0, le=1
    )
    spool_free_space: ByteSize = fixed(
        ByteSize(512 << 20), "disk space that the spool leaves free", "bytes", ge=0
    )
    header_timeout: float = fixed(30, "time for a request's headers to arrive", "seconds", gt=0)
    body_timeout: float = fixed(60, "longest pause in a request's body", "seconds", gt=0)
    keep_alive_timeout: float = fixed(
        75, "time that an idle connection is kept open", "seconds", gt=0
    )
    first_byte_timeout: float = fixed(
        3600, "time for an engine to start its response", "seconds", gt=0
    )
    stream_idle_timeout: float = fixed(
        600, "longest pause in an engine's response", "seconds", gt=0
    )
    upgrade_timeout: float = fixed(
        600, "time for a replaced llamactl to finish its requests", "seconds", ge=0
    )
    loading_comments: float = fixed(
        0, "time between comments to a stream that waits for its instance; 0 sends none", "seconds",
        ge=0,
    )  # fmt: skip
    list_aliases: bool = fixed(False, "list aliases as separate models in `/v1/models`")
    v1_errors: Literal["auto", "openai", "reference"] = fixed(
        "auto", "format of errors under `/v1`; `auto` picks the one that the client understands"
    )
