"""From a body to an instance's options: each value is taken as it is meant, or refused by name."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llamactl.backends import backend_of, read_definition
from llamactl.core.errors import InvalidOption, InvalidRequest, LlamactlError
from llamactl.core.instance import InstanceOptions
from llamactl.engine.help import usage
from llamactl.policy.definition.reading import merge
from support import vllm_recorded


def options(body: object) -> InstanceOptions:
    return merge(InstanceOptions(), read_definition(body))


def test_both_forms_of_a_body_define_the_same() -> None:
    flat = {"model": "/m.gguf", "ctx_size": 512, "idle_timeout": 5}
    structured = {
        "backend_type": "llama_cpp", "idle_timeout": 5,
        "backend_options": {"model": "/m.gguf", "ctx_size": 512},
    }  # fmt: skip
    assert options(flat) == options(structured)
    assert options(flat).backend_options == {"model": "/m.gguf", "ctx_size": 512}


@pytest.mark.parametrize(("value", "kept"), [(False, "off"), (True, "on"), ("off", "off")])
def test_on_and_off_need_no_quotes_in_yaml(value: object, kept: str) -> None:
    assert options({"keep_context": value}).keep_context == kept


@pytest.mark.parametrize("backend", ["llama_cpp", "vllm"])
def test_no_option_of_an_engine_is_taken_for_a_field_that_is_misspelt(backend: str) -> None:
    """Such as `warmup`, beside `warm_up`; also of an engine that can't be asked."""
    text = usage() if backend == "llama_cpp" else vllm_recorded.help_text()
    refused = dict[str, str]()
    for option in backend_of(backend).read_help(text):
        try:
            read_definition({option.name: True})
        except LlamactlError as exc:  # one that llamactl sets itself, for example
            refused[option.name] = exc.message
    assert {name: why for name, why in refused.items() if "unknown field" in why} == {}


@pytest.mark.parametrize("value", [None, False, "", []])
def test_no_node_may_be_named_in_any_way(value: object) -> None:
    assert options({"nodes": value}) == options({})


@pytest.mark.parametrize(
    ("value", "says"),
    [(["a"] * 65, "64 nodes"), (["a/b"], "node name"), (["-"], "node name"),
     (["x" * 64], "63"), ("x", "nodes"), ([1], "nodes")],
)  # fmt: skip
def test_what_can_not_be_a_node_is_refused(value: object, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        options({"nodes": value})


@pytest.mark.parametrize(
    ("body", "says"),
    [({"idle_timout": 5}, "did you mean 'idle_timeout'"),
     ({"backend_options": {}, "idel_timeout": 5}, "did you mean 'idle_timeout'"),
     ({"warmup": {"body": {}}}, "did you mean 'warm_up'"),
     ({"backend_options": {}, "model": "/m"}, "unknown field 'model'"),
     ({"backend_options": {"environment": {"A": "b"}}}, "move it out of 'backend_options'"),
     ({"temp": math.inf}, "finite"), ({"temp": math.nan}, "finite"), ({"seed": 2**70}, "range"),
     ({"model": {"a": 1}}, "string, number"), ({"lora": [["a"]]}, "string, number"),
     ({"model": "x" * 70_000}, "longer"), ({"model": "a\0b"}, "NUL"),
     ({"model": "\ud800"}, "Unicode"), ({"group": "a\0b"}, "NUL")],
)  # fmt: skip
def test_what_can_not_be_an_option_is_said_by_name(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        options(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [("auto_restart", "yes"), ("auto_restart", 1), ("max_restarts", True), ("max_restarts", -1),
     ("max_restarts", 1.5), ("max_restarts", 10**7), ("priority", 11), ("priority", True),
     ("idle_timeout", -1), ("idle_timeout", "5"), ("idle_timeout", True),
     ("restart_delay", 10**8), ("group", 5), ("environment", ["A=b"]),
     ("environment", {"no name": "x"}), ("environment", {"1A": "x"}), ("environment", {"A": 1}),
     ("aliases", "one"), ("aliases", ["a b"]), ("aliases", ["a", "A"]), ("aliases", [""]),
     ("aliases", ["x"] * 101), ("aliases", [1]), ("default_params", []),
     ("set_params", {"a": object()}), ("set_params", {"a": "x" * 70_000}),
     ("strip_params", ["model"]), ("strip_params", "seed"), ("backend_type", 5),
     ("backend_options", [])],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_by_the_fields_name(name: str, value: object) -> None:
    said = {"aliases": "alias", "backend_options": "backend_options", "strip_params": "model|strip"}
    if name == "environment":
        said[name] = "environment"
    with pytest.raises(InvalidRequest, match=said.get(name, name)):
        options({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_restarts", 0), ("max_restarts", 10**6), ("priority", -10), ("idle_timeout", 0),
     ("idle_timeout", 0.5), ("aliases", ["gpt-4o", "org/model:tag"]), ("pinned", True),
     ("environment", {"A_1": ""}), ("set_params", {"seed": 7, "stop": None}), ("group", "g")],
)  # fmt: skip
def test_a_value_at_its_limit_is_taken(name: str, value: object) -> None:
    taken = getattr(options({name: value}), name)
    assert (list(taken) if isinstance(value, list) else taken) == value


def test_null_takes_a_field_back_and_leaves_the_others() -> None:
    before = options({"ctx_size": 512, "seed": 1, "idle_timeout": 5, "group": "g"})
    after = merge(before, read_definition({"ctx_size": None, "group": None}, "llama_cpp"))

    assert after.backend_options == {"seed": 1}
    assert (after.idle_timeout, after.group) == (5, InstanceOptions().group)


def test_options_of_one_backend_mean_nothing_to_another() -> None:
    before = options({"ctx_size": 512, "idle_timeout": 5})
    body = {"backend_type": "command", "backend_options": {"args": ["serve"]}}
    after = merge(before, read_definition(body, "llama_cpp"))

    assert after.backend_options == {"args": ["serve"]} and after.idle_timeout == 5


def test_a_backend_that_is_not_there_is_refused() -> None:
    for kind in ("none", "mlx"):
        with pytest.raises(LlamactlError, match=kind):
            options({"backend_type": kind})


def test_the_extra_arguments_of_the_go_llamactl_are_words() -> None:
    given = {"extra_args": {"verbose": "", "--top-k": 3}}
    assert options(given).backend_options["extra_args"] == ["--verbose", "--top-k", "3"]


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_that_is_no_object_defines_nothing(body: object) -> None:
    with pytest.raises(InvalidRequest, match="object"):
        options(body)
