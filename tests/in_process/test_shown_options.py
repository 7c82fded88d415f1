"""What was given for an instance is shown as it was given, field by field."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from llamactl.api.bodies import given_options
from llamactl.core.instance import InstanceOptions
from llamactl.policy.definition.fields import OPTIONS
from support.control_path import ControlPath

GIVEN: dict[str, Any] = {
    "backend_type": "llama_cpp", "backend_options": {"model": "/m.gguf"}, "auto_restart": True,
    "max_restarts": 2, "restart_delay": 1.5, "on_demand_start": False, "idle_timeout": 3.0,
    "environment": {"A": "b"}, "group": "g", "pinned": True, "priority": 3,
    "command_override": "/bin/engine", "die_with_parent": True, "aliases": ["also"],
    "default_params": {"top_p": 0.5}, "set_params": {"top_k": 1}, "strip_params": ["seed"],
    "variants": {"other": {"set_params": {"top_k": 2}}}, "docker_enabled": False,
    "keep_context": "on", "idle_action": "sleep", "preload": True,
    "warm_up": {"path": "/v1/completions", "body": {"prompt": "hi"}},
    "preset_ini": "[*]\nctx-size = 512\n", "container": {"image": "an-image"},
    "nodes": ["main"], "node_labels": {"gpu": "h200"}, "replicas": 2,
}  # fmt: skip


def test_all_fields_are_tried() -> None:
    assert (
        {one.name for one in fields(InstanceOptions)}
        == GIVEN.keys()
        == OPTIONS.keys() | {"backend_options"}
    )


@pytest.mark.parametrize("name", sorted(GIVEN.keys() - {"backend_type", "backend_options"}))
async def test_what_is_given_is_shown(name: str) -> None:
    there = ControlPath()
    body = {"backend_options": GIVEN["backend_options"], name: GIVEN[name]}
    if name == "preset_ini":
        body["backend_options"] = {}
    managed = await there.definitions.create("one", body, start=False, wait=False, evict=False)

    assert given_options(managed, show=True)[name] == GIVEN[name]
