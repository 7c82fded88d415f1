"""The request that warms an instance up: how it is given, and what its engine gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.backends import backend_of
from llamactl.core.errors import CallerError
from llamactl.core.instance import InstanceOptions
from llamactl.policy.body.filters import filters_of
from llamactl.policy.definition.warm_up import read_warm_up, warm_up_of, warm_up_path

CHAT = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"body": CHAT}, "/v1/chat/completions"),
        ({"body": {"prompt": "hello"}}, "/v1/completions"),
        ({"body": {"input": ["hello"]}}, "/v1/embeddings"),
        ({"path": "/completion", "body": {"prompt": "hello"}}, "/completion"),
    ],
)
def test_its_path_is_given_or_told_by_its_body(given: dict[str, Any], path: str) -> None:
    assert warm_up_path(read_warm_up("warm_up", given)) == path


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_one_there_is_none(nothing: object) -> None:
    assert read_warm_up("warm_up", nothing) == {}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("hello", "must be an object"),
        ({"body": CHAT, "times": 2}, "no field 'times'"),
        ({"path": "/v1/completions"}, "needs a 'body'"),
        ({"path": "/v1/completions", "body": "hello"}, "'warm_up.body' must be an object"),
        ({"body": {"query": "hello"}}, "needs a 'path'"),
        ({"path": 7, "body": CHAT}, "'warm_up.path' must be a string"),
        ({"body": {"prompt": "x" * (1 << 20)}}, "longer than 1048576 bytes"),
        ({"body": {"prompt": object()}}, "is not valid"),
    ],
)
def test_what_is_no_request_is_refused(wrong: object, says: str) -> None:
    with pytest.raises(CallerError, match=says):
        read_warm_up("warm_up", wrong)


def sent(options: InstanceOptions) -> Any:
    return json.loads(warm_up_of(options.warm_up, filters_of(options)).body)


def test_the_parameters_of_the_instance_count_as_for_any_request_but_for_streams() -> None:
    options = InstanceOptions(
        default_params={"temperature": 0.5, "stream": True}, set_params={"seed": 1},
        strip_params=["top_k"],
        warm_up={"body": {**CHAT, "seed": 7, "top_k": 3, "stream_options": {}}},
    )  # fmt: skip

    assert sent(options) == {**CHAT, "temperature": 0.5, "seed": 1}


def test_the_model_is_named_as_the_engine_calls_it() -> None:
    options = InstanceOptions("vllm", {"model": "org/model"}, warm_up={"body": CHAT})
    called = backend_of("vllm").asked_for("one", options.backend_options)
    filters = filters_of(InstanceOptions(set_params={"seed": 1}))
    assert filters is not None
    request = warm_up_of(options.warm_up, filters.naming(called))

    assert called and json.loads(request.body) == {**CHAT, "seed": 1, "model": called}
