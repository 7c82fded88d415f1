"""Each setting says what it is, in which unit, and whether a reload changes it."""

from __future__ import annotations

import types
import typing
from typing import Any

import pytest
from pydantic import BaseModel, ByteSize, Field

from llamactl.backends import LLAMA_CPP
from llamactl.config import SettingField, Settings, compare, fields_of
from llamactl.config.changes import sources_after

FIELDS = [*fields_of(Settings)]


def kinds(annotation: Any) -> set[Any]:
    """All types that occur in an annotation."""
    inner = [kind for arg in typing.get_args(annotation) for kind in kinds(arg)]
    return {annotation, typing.get_origin(annotation), *inner} - {None, types.UnionType}


def is_quantity(field: SettingField) -> bool:
    found = kinds(field.info.annotation)
    return bool(found & {int, float, ByteSize})


def test_every_setting_is_described_and_every_quantity_has_a_unit() -> None:
    assert [field.key for field in FIELDS if not field.description] == []
    assert [field.key for field in FIELDS if is_quantity(field) and not field.unit] == []


def test_every_setting_of_a_running_server_is_among_those_that_are_declared() -> None:
    def leaves(tree: dict[str, Any], at: str = "") -> set[str]:
        found = set()
        for key, value in tree.items():
            nested = isinstance(value, dict) and value
            found |= leaves(value, f"{at}{key}.") if nested else {at + key}
        return found

    assert leaves(Settings().model_dump(by_alias=True)) == {field.key for field in FIELDS}


def test_a_setting_that_does_not_say_whether_it_is_live_is_refused() -> None:
    class Undeclared(BaseModel):
        port: int = Field(1, description="a port")

    with pytest.raises(TypeError, match="must be declared by live"):
        list(fields_of(Undeclared))


def test_what_is_fixed_keeps_its_value_and_what_is_live_does_not() -> None:
    old = Settings()
    new = Settings.model_validate(
        {
            "server": {"max_connections": 5},
            "instances": {"max_instances": 3, "logs_dir": "elsewhere",
                          "logging": {"log_rotation_max_files": 9}},
            "backends": {"llama-cpp": {"args": "--a --b", "response_headers": {"X": "1"}}},
        }
    )  # fmt: skip

    change = compare(old, new)

    assert {*change.live} == {
        "instances.max_instances", "instances.logging.log_rotation_max_files",
        "backends.llama-cpp.args",
    }  # fmt: skip
    assert {*change.fixed} == {
        "server.max_connections", "instances.logs_dir", "backends.llama-cpp.response_headers",
    }  # fmt: skip
    now = change.settings
    assert (now.instances.max_instances, now.instances.logging.log_rotation_max_files) == (3, 9)
    assert now.backends.of(LLAMA_CPP.kind).args == ("--a", "--b")
    assert now.server == old.server and now.instances.logs_dir is None
    assert now.backends.of(LLAMA_CPP.kind).response_headers == {}
    assert compare(now, new).live == ()


def test_a_fixed_value_keeps_its_source_until_a_restart() -> None:
    old = {("server", "port"): "flag", ("nodes", "a", "address"): "file"}
    new = {("server", "port"): "file", ("nodes", "b", "address"): "file", ("log", "level"): "file"}

    kept = sources_after(old, new, ["server.port", "nodes"])

    assert kept == {**old, ("log", "level"): "file"}
