"""From the Go llamactl: the instances and keys of its database, or of the JSON files that versions
without one kept, and its settings file.

Schema: https://github.com/lordmathis/llamactl/tree/main/pkg/database/migrations. Its settings file
is read by ours as it is; the report says what of it has an effect.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llamactl.backends import BACKENDS, DEFAULT, KINDS
from llamactl.config import LONG_ENOUGH, SHORTEST, Settings
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import check_name
from llamactl.migration.report import Migrated, flat, is_empty, refusal
from llamactl.migration.source import tidy
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_INSTANCE = ("auto_restart", "max_restarts", "restart_delay", "on_demand_start", "idle_timeout",
             "environment", "command_override", "group", "preset_ini",
             "docker_enabled")  # fmt: skip
# What it runs, where its settings name none: pkg/config.
_IMAGES = {"llama_cpp": "ghcr.io/ggml-org/llama.cpp:server",
           "vllm": "vllm/vllm-openai:latest"}  # fmt: skip
# Both would keep their own tables in one file, where a folder is used again.
_DATABASE = "llamactl-instances.db"
_WITHOUT_EFFECT = {
    "instances.timeout_check_interval": "idle time is measured exactly",
    "database.max_open_connections": "not needed: a single connection is used",
    "database.max_idle_connections": "not needed: a single connection is used",
    "database.connection_max_lifetime": "not needed: a single connection is used",
    "auth.inference_keys": "create keys with `llamactl keys create`",
    "auth.oidc": "sign-in with OpenID Connect is not available in this version; create keys",
    "database.path": "its tables are the Go llamactl's; llamactl keeps a file of its own",
    "nodes": "remote nodes join by `llamactl node join`",
    "local_node": "a cluster is made by `llamactl cluster init`",
    "instances.configs_dir": "here it is for declared instances; the database is sufficient",
}


def from_go_llamactl(
    source: Path | None, settings: object, engine: Vocabulary = UNREAD
) -> Migrated:
    """`source`: its database, a JSON file of an instance, or a folder of these.

    `engine`: the options of the engine; empty if it can't be asked.

    Raises LlamactlError if it is nothing of the kind.
    """
    found, tree = Migrated(), tidy(settings or {})
    if not isinstance(tree, Mapping):
        raise LlamactlError("not a settings file of the Go llamactl: it must be a mapping")
    node = tree.get("local_node") or "main"
    if source is not None:
        for row in _rows(source, found):
            _take_instance(row, str(node), found, engine, _images(tree))
    for key, value in flat(tree) if tree else ():
        _take_setting(key, value, found)
    if tree:
        found.set("database.path", _DATABASE)
    return found


def _rows(source: Path, found: Migrated) -> Iterator[Mapping[str, Any]]:
    if source.is_dir():
        files = sorted(source.glob("*.json"))
        if not files:
            raise LlamactlError(f"{source} has no instances of the Go llamactl: no *.json is in it")
    elif source.suffix == ".json":
        files = [source]
    else:
        yield from _database_rows(source, found)
        return
    for file in files:
        try:
            row = _file_row(file)
        except LlamactlError as exc:
            if not source.is_dir():
                raise
            found.left_out(f"instances.{file.stem}", exc.message)
        else:
            yield row


def _file_row(file: Path) -> Mapping[str, Any]:
    """As the database has it. Raises LlamactlError."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise LlamactlError(f"{file} is not an instance of the Go llamactl: {exc}") from exc
    if not isinstance(given, Mapping) or not isinstance(given.get("options", {}), Mapping):
        raise LlamactlError(f"{file} is not an instance of the Go llamactl: it has no options")
    running = "running" if given.get("running") is True else "stopped"  # of the first versions
    return {"name": given.get("name") or file.stem, "status": given.get("status", running),
            "created_at": given.get("created"), "options": given.get("options", {})}  # fmt: skip


def _database_rows(file: Path, found: Migrated) -> Iterator[Mapping[str, Any]]:
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            for row in database.execute("SELECT * FROM instances ORDER BY name"):
                yield _parsed(dict(row))
            keys = database.execute("SELECT name FROM api_keys") if "api_keys" in tables else ()
            for row in keys:
                found.left_out(
                    f"api_keys.{row['name']}",
                    "only its digest is stored: create a new one with `llamactl keys create`",
                )
    except (sqlite3.Error, OSError, KeyError) as exc:
        raise LlamactlError(f"{file} is not a database of the Go llamactl: {exc}") from exc


def _parsed(row: dict[str, Any]) -> Mapping[str, Any]:
    try:
        return {**row, "options": json.loads(row["options_json"])}
    except (TypeError, ValueError, RecursionError) as exc:
        return {**row, "options": f"its options can't be read: {exc}"}


def _take_instance(
    row: Mapping[str, Any], node: str, found: Migrated, engine: Vocabulary, images: Collection[str]
) -> None:
    """`node`: the name of this machine."""
    name, at, since = str(row["name"]), f"instances.{row['name']}", len(found.rows)
    if why := _no_instance(row, name, node):
        found.left_out(at, why)
        return
    if not found.add(name, _definition(tidy(row["options"]), at, found, engine, images), at, since):
        return
    for key in ("id", "created_at", "updated_at", "owner_user_id"):
        if row.get(key) is not None:
            found.left_out(f"{at}.{key}", "each instance gets its own")
    if row.get("status") in ("running", "restarting"):
        found.start.append(name)
        found.changed(f"{at}.status", "it was running; start it with `llamactl start`")
    else:
        found.carried(f"{at}.status", "it was stopped")


def _definition(
    given: Mapping[str, Any], at: str, found: Migrated, engine: Vocabulary, images: Collection[str]
) -> dict[str, Any]:
    """`images`: backends whose image the settings name."""
    kind = given.get("backend_type") or "llama_cpp"
    definition: dict[str, Any] = {"backend_type": kind, "backend_options": {}}
    options = definition["backend_options"]
    own = given.get("command_override") or kind != DEFAULT.name
    known = UNREAD if own else engine
    found.carried(f"{at}.backend_type")
    for key, value in given.items():
        if key == "backend_options":
            _take_options(value, f"{at}.{key}", options, found, known)
        elif key in _INSTANCE:
            _take(definition, key, value, f"{at}.{key}", found)
        elif key == "nodes" and not value:
            found.carried(f"{at}.{key}", "not given")
        elif key == "nodes":
            found.left_out(f"{at}.{key}", "give it again once that machine has joined")
        elif "backend_type" not in given:  # the first versions knew one engine
            _take_options({key: value}, at, options, found, known)
        elif key != "backend_type":
            found.left_out(f"{at}.{key}", "not available in this version")
    if definition.get("docker_enabled") and definition.pop("command_override", ""):
        found.left_out(f"{at}.command_override", "in a container its image's program runs")
    if definition.get("docker_enabled") and kind in _IMAGES and kind not in images:
        definition["container"] = {"image": _IMAGES[kind], "pull": "missing"}
        found.changed(f"{at}.docker_enabled", f"in the image {_IMAGES[kind]}, its default")
    return definition


def _images(tree: Mapping[str, Any]) -> set[str]:
    """Backends for whose containers the settings name one."""
    said = tree.get("backends")
    sections = said if isinstance(said, Mapping) else {}
    return {
        kind.type
        for kind in KINDS
        if isinstance(section := sections.get(kind.section), Mapping)
        and isinstance(docker := section.get("docker"), Mapping)
        and docker.get("image")
    }


def _no_instance(row: Mapping[str, Any], name: str, node: str) -> str:
    """Why none can be made of it; "" if one can."""
    given = row["options"]
    if not isinstance(given, Mapping):
        return given if isinstance(given, str) else "its options are not a mapping"
    kind, nodes = given.get("backend_type") or "llama_cpp", given.get("nodes")
    if kind not in BACKENDS:
        return f"backend_type {kind} is not available in this version"
    if isinstance(nodes, list) and nodes and node not in nodes:
        where = ", ".join(map(str, nodes))
        return f"it runs on {where}, and remote nodes are not imported: make it again there"
    try:
        check_name(name)
    except LlamactlError as exc:
        return exc.message
    return ""


def _take_options(
    given: object, at: str, into: dict[str, Any], found: Migrated, known: Vocabulary
) -> None:
    if not isinstance(given, Mapping):
        if given is not None:
            found.left_out(at, "it is not a mapping")
        return
    for key, value in given.items():
        if key in ("host", "api_key", "api_prefix", "port"):
            found.left_out(f"{at}.{key}", "llamactl chooses it")
            continue
        why = refusal({"backend_options": {key: value}}, known)
        if why:
            found.left_out(f"{at}.{key}", why)
        else:
            into[key] = value
            found.carried(f"{at}.{key}")


def _take(definition: dict[str, Any], key: str, value: Any, at: str, found: Migrated) -> None:
    if is_empty(value):
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
    if key == "data_dir":
        found.set(key, value)
        found.changed(at, f"kept, with a database of llamactl's own in it: {_DATABASE}")
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
