"""What each command that asks a server has in common: where it is, what is shown, how it fails."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from llamactl.cli.table import table_of
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from rich.console import Console

    from llamactl.client import Client
    from llamactl.config import Loaded, Settings

Url = Annotated[
    str | None, typer.Option("--url", help="The server's address.", envvar="LLAMACTL_URL")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The server's data directory.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="File with the API key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COMMON = {"url": Url, "key_file": KeyFile, "data_dir": DataDir, "as_json": AsJson}


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """For commands that work without a server. Raises InvalidConfig."""
    return loaded_of(config, data_dir).settings


def loaded_of(config: Path | None, data_dir: Path | None) -> Loaded:
    """The same, with where each is from."""
    from llamactl.config import load

    flags: dict[str, Any] = {} if data_dir is None else {"data_dir": str(data_dir)}
    return load(os.environ, path=config, flags=flags)


class Session:
    """One command's talk with a server. Nothing is looked for before it is needed."""

    def __init__(
        self, url: str | None, key_file: Path | None, data_dir: Path | None, *, as_json: bool
    ) -> None:
        self._url = url
        self._key_file = key_file
        self.data_dir = data_dir
        self.as_json = as_json

    def close(self) -> None:
        if "client" in vars(self):
            self.client.close()

    @functools.cached_property
    def settings(self) -> Settings:
        return settings_of(None, self.data_dir)

    @functools.cached_property
    def url(self) -> str:
        """Raises LlamactlError if no server is named, and none serves here."""
        if url := self.known_url:
            return url
        raise LlamactlError(
            f"llamactl is not running for {self.settings.data}; start it with `llamactl serve`, "
            "or give its address with --url, --data-dir or LLAMACTL_URL"
        )

    @property
    def known_url(self) -> str:
        """ "" if there is none."""
        if self._url:
            return self._url
        return self._own_url()

    def _own_url(self) -> str:
        """Of the server of the data directory, if one runs."""
        file = self.settings.data / "server.json"
        try:
            said = json.loads(_read(file) or "{}")
            # another process may have its port by now and must not see the key
            return str(said["url"]) if said and _runs(int(said["pid"])) else ""
        except (ValueError, KeyError, TypeError) as exc:
            raise LlamactlError(f"cannot read {file}: {exc}; restart the server") from exc

    @property
    def is_local(self) -> bool:
        """Is it the server of the data directory here?"""
        return not self._url

    @property
    def key(self) -> str | None:
        if self._key_file is not None:
            return _read(self._key_file, missing=LlamactlError)
        if given := os.environ.get("LLAMACTL_API_KEY"):
            return given
        # the key of this machine's server is only for that server
        mine = self._url is None or self._url.rstrip("/") == self._own_url()
        return self._own_key() if mine else None

    def _own_key(self) -> str | None:
        given = [key for key in self.settings.auth.management_keys if key]
        return given[0] if given else _read(self.settings.data / "management_key") or None

    @functools.cached_property
    def client(self) -> Client:
        from llamactl.client import Client

        return Client(self.url, self.key)

    def client_within(self, seconds: float) -> Client:
        """For a question to a server that may hang; it is asked once."""
        from llamactl.client import Client

        # where it is now: another may have been started since `url` was read
        return Client(self.known_url or self.url, self.key, timeout=seconds, retries=0)

    @functools.cached_property
    def console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, soft_wrap=False)

    def print_json(self, value: object) -> None:
        typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))

    def say_why(self, what: str, why: str) -> None:
        """Nothing, if there is no reason to."""
        if why:
            typer.echo(f"{what}: {why}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Fits the terminal; where there is none, columns are as wide as they need be."""
        cells = [[_cell(value) for value in row] for row in rows]
        if not sys.stdout.isatty():
            widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
            for row in (columns, *cells):
                line = "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True))
                typer.echo(line.rstrip())
            return
        self.console.print(table_of(columns, cells, self.console.width))


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all that ask a server; it gets a `Session` first."""

    @functools.wraps(function)
    def run(*args: Any, **given: Any) -> None:
        common = {name: given.pop(name) for name in _COMMON}
        with closing(Session(**common)) as session:
            function(session, *args, **given)

    hints = {**get_type_hints(function, include_extras=True), **_COMMON}
    _, *own = inspect.signature(function).parameters.values()
    common = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if name == "as_json" else None
        )
        for name in _COMMON
    ]  # fmt: skip
    parameters = [p.replace(annotation=hints[p.name]) for p in (*own, *common)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def size(count: float | None) -> str:
    """Bytes, for people."""
    if not count:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def span(seconds: float) -> str:
    """For people: 5s, 3m, 2h, 4d."""
    for most, unit, name in ((120, 1, "s"), (7200, 60, "m"), (172800, 3600, "h")):
        if seconds < most:
            return f"{max(0, seconds) / unit:.0f}{name}"
    return f"{seconds / 86400:.0f}d"


_CONTROLS = {n: None for n in (*range(9), *range(11, 32), *range(127, 160))}


def inert(text: str) -> str:
    """Without what moves a terminal's cursor, or worse: models and engines are not trusted."""
    return text.translate(_CONTROLS)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _plain(value: object) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else inert(str(value))


def _read(path: Path, missing: type[LlamactlError] | None = None) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as exc:
        if missing:
            raise missing(f"file {path} does not exist") from exc
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise LlamactlError(f"cannot read {path}: {exc}") from exc
