"""How the commands find the server of this machine, and ask it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from llamactl.config import load
from llamactl.core.errors import LlamactlError

DataDir = Annotated[Path | None, typer.Option(help="The data directory of the server.")]
_LIMIT_S = 900


class Server:
    """The one that serves a data directory, or the one of LLAMACTL_URL."""

    def __init__(self, data_dir: Path | None) -> None:
        """Raises LlamactlError if none is to be found."""
        data = data_of(data_dir)
        self.url = os.environ.get("LLAMACTL_URL") or _url_in(data)
        self._key = os.environ.get("LLAMACTL_API_KEY") or _read(data / "management_key")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, as JSON. Raises LlamactlError with the server's words."""
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url.rstrip('/')}{path}"
        if not url.startswith(("http://", "https://")):
            raise LlamactlError(f"{self.url} is no http:// or https:// address; correct it")
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as exc:
            raise LlamactlError(_error_of(exc)) from exc
        except OSError as exc:
            raise LlamactlError(
                f"no llamactl answers at {self.url}: {getattr(exc, 'reason', exc)}; "
                "start it with `llamactl serve`"
            ) from exc


def data_of(data_dir: Path | None) -> Path:
    flags: dict[str, Any] = {} if data_dir is None else {"data_dir": str(data_dir)}
    return load(os.environ, flags=flags).settings.data


def _url_in(data: Path) -> str:
    said = _read(data / "server.json")
    if not said:
        raise LlamactlError(
            f"no llamactl has served {data} yet; start it with `llamactl serve`, "
            "or say where it is with --data-dir or LLAMACTL_URL"
        )
    return str(json.loads(said)["url"])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise LlamactlError(f"cannot read {path}: {exc.strerror}") from exc


def _error_of(exc: urllib.error.HTTPError) -> str:
    text = exc.read().decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {exc.code}: {text[:200]}"
