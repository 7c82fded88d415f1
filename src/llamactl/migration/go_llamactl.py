"""From the Go llamactl: its database's instances and keys, and its settings file.

Schema: https://github.com/lordmathis/llamactl/tree/main/pkg/database/migrations. Its settings file
is read by ours as it is; the report says what of it has an effect.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llamactl.backends import BACKENDS, DEFAULT
from llamactl.config import LONG_ENOUGH, SHORTEST, Settings
from llamactl.core.errors import LlamactlError
from llamactl.migration.report import Migrated, flat, refusal
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_INSTANCE = ("auto_restart", "max_restarts", "restart_delay", "on_demand_start", "idle_timeout",
             "environment", "command_override")  # fmt: skip
_WITHOUT_EFFECT = {
    "backends.vllm": "vLLM is not available in this version",
    "backends.mlx": "MLX is not available in this version",
    "backends.llama-cpp.docker": "containers are not available in this version",
    "instances.timeout_check_interval": "idle time is measured exactly",
    "database.max_open_connections": "not needed: a single connection is used",
    "database.max_idle_connections": "not needed: a single connection is used",
    "database.connection_max_lifetime": "not needed: a single connection is used",
    "auth.inference_keys": "create keys with `llamactl keys create`",
    "nodes": "remote nodes are not available in this version",
    "local_node": "remote nodes are not available in this version",
    "instances.configs_dir": "here it is for declared instances; the database is sufficient",
}


def from_go_llamactl(
    database: Path | None, settings: Mapping[str, Any] | None, engine: Vocabulary = UNREAD
) -> Migrated:
    """Raises LlamactlError if the file is not such a database.

    `engine`: the options of the engine; empty if it can't be asked.
    """
    found = Migrated()
    if database is not None:
        _read_database(database, found, engine)
    for key, value in flat(settings or {}):
        _take_setting(key, value, found)
    return found


def _read_database(file: Path, found: Migrated, engine: Vocabulary) -> None:
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            for row in database.execute("SELECT * FROM instances ORDER BY name"):
                _take_instance(dict(row), found, engine)
            keys = database.execute("SELECT name FROM api_keys") if "api_keys" in tables else ()
            for row in keys:
                found.left_out(
                    f"api_keys.{row['name']}",
                    "only its digest is stored: create a new one with `llamactl keys create`",
                )
    except (sqlite3.Error, OSError, KeyError) as exc:
        raise LlamactlError(f"{file} is not a database of the Go llamactl: {exc}") from exc


def _take_instance(row: Mapping[str, Any], found: Migrated, engine: Vocabulary) -> None:
    name, at = str(row["name"]), f"instances.{row['name']}"
    try:
        given = json.loads(row["options_json"])
    except (TypeError, ValueError) as exc:
        found.left_out(at, f"its options can't be read: {exc}")
        return
    kind = given.get("backend_type") or "llama_cpp"
    if kind not in BACKENDS:
        found.left_out(at, f"backend_type {kind} is not available in this version")
        return
    definition: dict[str, Any] = {"backend_type": kind, "backend_options": {}}
    found.carried(f"{at}.backend_type")
    for key, value in given.items():
        if key == "backend_options":
            into, known = definition["backend_options"], engine if kind == DEFAULT.name else UNREAD
            _take_options(value or {}, f"{at}.{key}", into, found, known)
        elif key in _INSTANCE:
            _take(definition, key, value, f"{at}.{key}", found)
        elif key != "backend_type":
            found.left_out(f"{at}.{key}", "not available in this version")
    found.add(name, definition)
    for key in ("id", "created_at", "updated_at", "owner_user_id"):
        if row.get(key) is not None:
            found.left_out(f"{at}.{key}", "each instance gets its own")
    if row["status"] in ("running", "restarting"):
        found.start.append(name)
        found.changed(f"{at}.status", "it was running; start it with `llamactl start`")
    else:
        found.carried(f"{at}.status", "it was stopped")


def _take_options(
    given: Mapping[str, Any], at: str, into: dict[str, Any], found: Migrated, known: Vocabulary
) -> None:
    for key, value in given.items():
        if key in ("host", "api_key", "port"):
            found.left_out(f"{at}.{key}", "llamactl chooses it")
            continue
        why = refusal({"backend_options": {key: value}}, known)
        if why:
            found.left_out(f"{at}.{key}", why)
        else:
            into[key] = value
            found.carried(f"{at}.{key}")


def _take(definition: dict[str, Any], key: str, value: Any, at: str, found: Migrated) -> None:
    if value is None:
        found.carried(at, "not given")
    elif why := refusal({"backend_options": {}, key: value}):
        found.left_out(at, why)
    else:
        definition[key] = value
        found.carried(at)


def _take_setting(key: str, value: object, found: Migrated) -> None:
    """Ours have the same names."""
    at = f"settings.{key}"
    for path, why in _WITHOUT_EFFECT.items():
        if key == path or key.startswith(f"{path}."):
            found.left_out(at, why)
            return
    if not _is_known(Settings, key.split(".")):
        found.left_out(at, "unknown setting")
        return
    if key == "auth.management_keys":
        _take_keys(at, value, found)
        return
    if key == "server.host" and value not in ("127.0.0.1", "localhost", "::1"):
        found.changed(at, "kept; with auth off, llamactl would refuse to listen on that address")
    elif key == "server.allowed_origins" and value == ["*"]:
        found.changed(at, "left out: other web pages may not use the server unless you allow it")
        return
    else:
        found.carried(at)
    found.set(key, value)


def _take_keys(at: str, value: object, found: Migrated) -> None:
    """Those that can be guessed are replaced: llamactl would not start with them."""
    given = [str(key) for key in value] if isinstance(value, list) else str(value or "").split(",")
    keys = [key.strip() for key in given if key.strip()]
    short = sum(len(key) < SHORTEST for key in keys)
    weak = sum(SHORTEST <= len(key) < LONG_ENOUGH for key in keys)
    made = [key if len(key) >= SHORTEST else _new_key() for key in keys]
    found.set("auth.management_keys", made)
    if short:
        found.changed(
            at,
            f"{short} of {len(keys)} have less than {SHORTEST} characters and can be guessed: "
            "replaced by a generated one, which is in the new settings",
        )
    else:
        advice = f"{weak} of {len(keys)} have less than {LONG_ENOUGH} characters; replace them"
        found.carried(at, advice if weak else "")


def _new_key() -> str:
    return f"llamactl-management-{secrets.token_urlsafe(32)}"


def _is_known(model: type[BaseModel], path: list[str]) -> bool:
    """Up to where people's own keys begin."""
    for name, field in model.model_fields.items():
        if path[0] in (name, field.alias):
            kind = field.annotation
            inner = isinstance(kind, type) and issubclass(kind, BaseModel)
            return not (inner and len(path) > 1) or _is_known(kind, path[1:])  # type: ignore[arg-type]
    return False
