"""Which GPUs an instance names, and what is left to see for one that names none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.backends.shared.devices import named_devices
from llamactl.core.instance import Container, InstanceOptions
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.scheduling.devices import VISIBLE, numbers_in, of_container, visible

IDS = ["GPU-aa", "GPU-ab", "GPU-c"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0,2", [0, 2]), ("2, 0", [2, 0]), ("GPU-c,0", [2, 0]), ("GPU-ab", [1]), ("", []),
        ("-1", []), ("1,-1,2", [1]), ("1,9,2", [1]), ("GPU-a", []), ("1,1,2", [1]),
        ("9" * 5000, []), ("MIG-x", []),
    ],
)  # fmt: skip
def test_a_list_counts_until_a_name_means_none(text: str, numbers: list[int]) -> None:
    assert numbers_in(text, IDS) == numbers


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, None),
        ({"gpu_layers": 99}, None),
        ({"device": "CUDA1"}, {1}),
        ({"device": ["CUDA0", "CUDA2"]}, {0, 2}),
        ({"device": "none"}, set()),
        ({"device": "Vulkan0"}, set()),
        ({"split_mode": "none", "main_gpu": 2}, {2}),
        ({"split_mode": "none"}, None),
        ({"split_mode": "row", "main_gpu": 1}, {0, 1, 2}),
        ({"tensor_split": "3,0,1"}, {0, 2}),
        ({"tensor_split": [0, 1]}, {1}),
        ({"device_draft": "CUDA1"}, {0, 1, 2}),
        ({"override_tensor": ["exps=CUDA2", "x=CPU"]}, {0, 1, 2}),
        ({"device": "CUDA0", "override_tensor": "exps=CUDA2"}, {0, 2}),
    ],
)
def test_options_of_llama_cpp_name_devices(options: dict[str, Any], named: set[int] | None) -> None:
    found = named_devices(InstanceOptions(backend_options=options), EngineSettings(), IDS)

    assert (None if found is None else {*found}) == named


def test_so_do_the_settings_and_the_engines_own_variables() -> None:
    words = EngineSettings(args=["--device", "CUDA1"])
    variable = InstanceOptions(environment={"LLAMA_ARG_DEVICE": "CUDA2"})

    assert named_devices(InstanceOptions(), words, IDS) == frozenset({1})
    assert named_devices(variable, EngineSettings(), IDS) == frozenset({2})


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("vllm", {"model": "m", "tensor_parallel_size": 2}, None),
        ("vllm", {"model": "m", "device_ids": "0,2"}, {0, 2}),
        ("transformers", {"model": "m", "device": "cuda:1"}, {1}),
        ("transformers", {"model": "m", "device": "cuda"}, None),
        ("transformers", {"model": "m", "device": "cpu"}, set()),
        ("command", {"command": "server"}, None),
    ],
)
def test_other_engines_name_them_in_their_own_way(
    kind: str, options: dict[str, Any], named: set[int] | None
) -> None:
    given = InstanceOptions(backend_type=kind, backend_options=options)
    found = named_devices(given, EngineSettings(), IDS)

    assert (None if found is None else {*found}) == named


def test_visible_devices_are_named_and_others_count_within_them() -> None:
    own = InstanceOptions(environment={VISIBLE: "2,0"})
    both = InstanceOptions(environment={VISIBLE: "2,0"}, backend_options={"device": "CUDA1"})
    theirs = EngineSettings(environment={VISIBLE: "1"})

    assert named_devices(own, EngineSettings(), IDS) == frozenset({0, 2})
    assert named_devices(both, EngineSettings(), IDS) == frozenset({0})
    assert named_devices(InstanceOptions(), theirs, IDS) == frozenset({1})
    assert named_devices(own, theirs, IDS) == frozenset({0, 2})  # its own count more


@pytest.mark.parametrize(
    ("gpus", "more", "named"),
    [
        ("all", {}, None), ("2", {}, None), ("", {}, set()), ("device=2,0", {}, {0, 2}),
        ("device=GPU-ab", {}, {1}), ("device=2,0", {VISIBLE: "1"}, {0}), ("2", {VISIBLE: "1"}, {1}),
    ],
)  # fmt: skip
def test_a_container_names_them_by_its_gpus(
    gpus: str, more: dict[str, str], named: set[int] | None
) -> None:
    given = InstanceOptions(container=Container("image", gpus=gpus, env=more))
    found = named_devices(given, EngineSettings(), IDS)

    assert (None if found is None else {*found}) == named


ids = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(ids=ids, hidden=ids, inherited=st.none() | st.lists(st.integers(0, 6), unique=True))
def test_nothing_hidden_is_seen_and_nothing_else_is_lost(
    ids: list[str], hidden: list[str], inherited: list[int] | None
) -> None:
    given = {} if inherited is None else {VISIBLE: ",".join(map(str, inherited))}
    before = range(len(ids)) if inherited is None else numbers_in(given[VISIBLE], ids)
    found = visible(ids, hidden, given)

    seen = [ids[number] for number in numbers_in(found[VISIBLE], ids)]
    assert seen == [ids[number] for number in before if ids[number] not in hidden]
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_container_gets_as_many_as_it_may_of_the_others() -> None:
    names = ["0", "1", "2"]

    assert of_container("all", names, ["1"]) == "device=0,2"
    assert of_container("2", names, ["0"]) == "device=1,2"
    assert of_container("1", names, ["0"]) == "device=1"
    assert of_container("all", names, names) == ""
