"""What can't be served is refused before an engine starts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llamactl.backends import LLAMA_CPP
from llamactl.backends.contract import Start
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import InstanceOptions


def refusal(options: dict[str, Any], environment: dict[str, str], args: list[str]) -> str:
    """ "" if it is accepted."""
    settings = LLAMA_CPP.kind.settings.model_copy(update={"args": args}).engine
    given = InstanceOptions(backend_options=options, environment=environment)
    try:
        LLAMA_CPP.check(Start.of(given, settings))
    except InvalidOption as exc:
        return exc.message
    return ""


@pytest.mark.parametrize(
    ("options", "environment", "args"),
    [
        ({}, {}, []),
        ({"ctx_size": 512}, {}, ["--threads", "2"]),
        ({"model": ""}, {}, []),
        ({"router": False}, {}, []),
        ({"spec_default": True}, {}, []),
        ({"model": "m", "api_prefix": "/x"}, {}, []),
        ({"model": "m", "extra_args": ["--api-prefix", "/x"]}, {}, []),
        ({"model": "m"}, {"LLAMA_ARG_API_PREFIX": "/x"}, []),
        ({"model": "m"}, {}, ["--api-prefix", "/x"]),
        ({"model": "m", "router": "yes"}, {}, []),
    ],
)
def test_what_can_not_be_served_is_refused(
    options: dict[str, Any], environment: dict[str, str], args: list[str]
) -> None:
    assert re.search("names no model|'api_prefix'|'router'", refusal(options, environment, args))


@pytest.mark.parametrize(
    ("options", "environment", "args"),
    [
        ({"model": "m", "api_prefix": ""}, {}, []),
        ({"hf_repo": "org/m"}, {}, []),
        ({"docker_repo": "ai/m"}, {}, []),
        ({"models_dir": "/m"}, {}, []),
        ({"models_preset": "/m.ini"}, {}, []),
        ({"router": True}, {}, []),
        ({"gpt_oss_20b_default": True}, {}, []),
        ({"extra_args": ["-m", "/m.gguf"]}, {}, []),
        ({"extra_args": ["--models-dir", "/m"]}, {}, []),
        ({}, {"LLAMA_ARG_MODEL": "/m.gguf"}, []),
        ({}, {}, ["-hf", "org/m"]),
    ],
)
def test_a_model_can_be_named_in_every_way(
    options: dict[str, Any], environment: dict[str, str], args: list[str]
) -> None:
    assert refusal(options, environment, args) == ""


def test_another_program_may_name_the_model_itself() -> None:
    given = InstanceOptions(command_override="/usr/local/bin/serve-gemma")

    LLAMA_CPP.check(Start.of(given, LLAMA_CPP.kind.settings.engine))
    assert given.backend_options == {}


def test_an_engine_does_not_see_that_it_is_meant_to_be_a_router() -> None:
    given = InstanceOptions(backend_options={"router": True})
    launch = LLAMA_CPP.launch(Start.of(given, LLAMA_CPP.kind.settings.engine, name="r", key="k"))

    assert not [word for word in launch.words if "router" in word]
    assert LLAMA_CPP.models.is_router({"router": True})
