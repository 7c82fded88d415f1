"""Each fixed setting keeps its value until a restart, and a reload says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from llamactl.config import SettingField, Settings, compare, fields_of
from support.served import data_folder, serve

FIXED = {field.key: field for field in fields_of(Settings) if field.applies == "fixed"}
# Given by flags in tests, which no file overrides.
FLAGS = {"data_dir", "server.port"}
OTHER_VALUES = {
    "server.host": "127.0.0.2",
    "nodes": {"other": {}},
    "database.connection_max_lifetime": "6m",
    "auth.management_keys": ["a-key-of-more-than-twenty-characters"],
}


def another_value(field: SettingField) -> Any:
    """As JSON has it, and not the default."""
    kind, default = field.info.annotation, field.default
    if field.key in OTHER_VALUES:
        return OTHER_VALUES[field.key]
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != default)
    if kind is bool or default is None or isinstance(default, Path | str):
        return not default if kind in (bool, bool | None) else "another"
    if isinstance(default, int | float):
        return default + 1 if default >= 1 else default + 0.5
    return {"another": "value"} if isinstance(default, dict) else ["another"]


def with_all(fields: dict[str, SettingField]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for field in fields.values():
        at = tree
        for section in field.path[:-1]:
            at = at.setdefault(section, {})
        at[field.path[-1]] = another_value(field)
    return tree


def test_a_fixed_setting_waits_for_a_restart(tmp_path: Path) -> None:
    changed = {key: field for key, field in FIXED.items() if key not in FLAGS}
    data = data_folder(tmp_path, "")
    with serve(data) as server:

        def shown() -> dict[str, tuple[Any, str]]:
            rows = server.request("GET", "/api/v1/config/settings").json()
            return {row["key"]: (row["value"], row["source"]) for row in rows}

        before = shown()
        (data / "llamactl.yaml").write_text(json.dumps(with_all(changed)))
        said = server.request("POST", "/api/v1/config/reload").json()

        assert said["settings"] == []
        assert set(said["needs_restart"]) == set(changed)
        assert shown() == before
        assert server.request("POST", "/api/v1/config/reload?dry_run=true").json() == {
            **said, "dry_run": True
        }, "it waits still"  # fmt: skip


def test_those_that_a_file_can_not_change_here_are_fixed_too() -> None:
    old = Settings()
    server = old.server.model_copy(update={"port": 1})
    new = old.model_copy(update={"server": server, "data_dir": Path("/elsewhere")})

    change = compare(old, new)

    assert set(change.fixed) == FLAGS
    assert (change.live, change.settings) == ((), old)
