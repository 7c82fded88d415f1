"""A command's options become a process, or a message that says what to correct."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from llamactl.backends import BACKENDS, LLAMA_CPP, read_definition
from llamactl.backends.contract import Start
from llamactl.backends.readiness import ProbeRequest, Readiness
from llamactl.core.errors import InvalidOption, LlamactlError
from llamactl.core.instance import InstanceOptions
from llamactl.policy.definition.engine_help import UNREAD
from llamactl.policy.definition.reading import merge

COMMAND = BACKENDS["command"]
SETTINGS = COMMAND.kind.settings


def start(environment: dict[str, str] | None = None, **options: Any) -> Start:
    given = {"command": "serve", "args": ["--port", "${PORT}"], **options}
    known = {k: v for k, v in COMMAND.canonical(given).items() if v is not None}
    return Start("one", known, SETTINGS.engine, "127.0.0.1", 8123, "the-key", environment or {})


def refusal(environment: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(LlamactlError) as refused:
        COMMAND.check(replace(start(environment, **options), port=0))
    return refused.value.message


def test_port_and_model_are_filled_in_in_arguments_and_environment() -> None:
    given = start(
        {"WHERE": "http://127.0.0.1:${PORT}/", "WHAT": "${MODEL}"},
        args=["--listen=:${PORT}", "${MODEL}", "$${HOME}", "$5"],
        model="org/model",
    )

    launch = COMMAND.launch(given)

    assert launch.words == ["--listen=:8123", "org/model", "${HOME}", "$5"]
    assert launch.environment == {"WHERE": "http://127.0.0.1:8123/", "WHAT": "org/model"}


def test_the_settings_arguments_and_environment_come_first() -> None:
    settings = SETTINGS.model_copy(
        update={"args": ("--quiet",), "environment": {"A": "${PORT}", "B": "0"}}
    )

    launch = COMMAND.launch(replace(start({"B": "1"}), settings=settings.engine))

    assert launch.words == ["--quiet", "--port", "8123"]
    assert launch.environment == {"A": "8123", "B": "1"}


def test_the_key_goes_where_the_program_looks_for_it() -> None:
    by_variable = COMMAND.launch(start(api_key_env="SERVE_KEY"))
    by_flag = COMMAND.launch(start(api_key_flag="--key"))
    without = COMMAND.launch(start())

    assert by_variable.environment == {"SERVE_KEY": "the-key"}
    assert by_flag.words == ["--port", "8123", "--key", "the-key"]
    assert "the-key" not in str(by_variable.words) + str(without)
    known = [COMMAND.knows_key(s.options) for s in (start(api_key_env="A"), start())]
    assert known == [True, False]


@pytest.mark.parametrize(
    ("environment", "options", "parts"),
    [
        ({}, {"args": []}, ["cannot pass the port", "contains ${PORT}", "add it"]),
        ({}, {"args": ["${PORT}", "${PROT}"]}, ["cannot fill in ${PROT} in args", "only ${PORT}",
                                               "correct it, or write $${PROT}"]),
        ({}, {"args": ["${PORT}", "${MODEL}"]}, ["cannot fill in ${MODEL} in args", "no model",
                                                "set the option 'model'"]),
        ({"X": "${MODEL}"}, {}, ["${MODEL} in environment.X", "no model", "set the option"]),
        ({"X": "${port}"}, {}, ["${port} in environment.X", "are known", "correct it"]),
        ({}, {"command": None}, ["names no program", "set the option 'command'"]),
        ({}, {"args": "'--port ${PORT}"}, ["cannot use the option 'args'", "check its quotes"]),
        ({}, {"args": 7}, ["cannot use the option 'args'", "7 is not valid", "use a list"]),
        ({}, {"health_path": "health"}, ["'health' is not valid", "starts with '/', or 'none'"]),
        ({}, {"probe_path": "none"}, ["'none' is not valid", "starts with '/'"]),
        ({}, {"probe_body": "{"}, ["'{' is not valid", "use JSON"]),
        ({}, {"probe_body": 7}, ["7 is not valid", "use JSON"]),
        ({}, {"stop_signal": "SIGSTOP"}, ["'SIGSTOP' is not valid", "use one of SIGTERM"]),
        ({}, {"stop_signal": True}, ["True is not valid"]),
        ({}, {"api_key_env": "--key"}, ["'--key' is not valid", "environment variable"]),
        ({}, {"api_key_flag": "key"}, ["'key' is not valid", "use a flag"]),
        ({}, {"served_model": ""}, ["'' is not valid", "use a non-empty string"]),
        ({}, {"ctx_size": 4096}, ["unknown option 'ctx_size'", "options are command, args"]),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_tried_what_is_wrong_and_what_to_do(
    environment: dict[str, str], options: dict[str, Any], parts: list[str]
) -> None:
    said = refusal(environment, **options)

    assert [part for part in parts if part not in said] == []


def test_a_fixed_port_or_one_in_the_environment_needs_no_placeholder_in_the_arguments() -> None:
    COMMAND.check(start(args=[]))  # with a port
    COMMAND.check(replace(start({"PORT": "${PORT}"}, args=[]), port=0))

    assert "${PORT}" in refusal(args=[])


def test_options_have_one_form() -> None:
    given = COMMAND.canonical(
        {"--health-path": "none", "args": "-m x 'a b' ${PORT}", "stop-signal": "int",
         "api_key_env": None}
    )  # fmt: skip

    assert given == {
        "health_path": "none", "args": ["-m", "x", "a b", "${PORT}"], "stop_signal": "SIGINT",
        "api_key_env": None,
    }  # fmt: skip
    assert COMMAND.canonical({"stop_signal": 2}) == {"stop_signal": "SIGINT"}
    with pytest.raises(InvalidOption, match="given twice"):
        COMMAND.canonical({"stop_signal": "INT", "stop-signal": "INT"})


def test_what_is_known_of_it_its_options_say() -> None:
    plain = start().options
    own = start(health_path="none", stop_signal="SIGINT", served_model="org/x").options

    assert COMMAND.readiness(plain) == Readiness("/health")
    assert COMMAND.readiness(own) == Readiness(None)
    probed = start(probe_path="/v1/completions", served_model="org/x").options
    assert COMMAND.readiness(probed).request == ProbeRequest(
        "/v1/completions", '{"model": "org/x", "prompt": "a", "max_tokens": 1}'
    )
    told = start(probe_path="/embed", probe_body='{"input": "a"}').options
    assert COMMAND.readiness(told).request == ProbeRequest("/embed", '{"input": "a"}')
    signals = (COMMAND.stop_signal(plain), COMMAND.stop_signal(own))
    assert signals == (signal.SIGTERM, signal.SIGINT)
    assert (COMMAND.served_model(plain), COMMAND.served_model(own)) == ("", "org/x")
    assert COMMAND.busy_slots(lambda path: "[]") is None  # and asks it nothing


def test_a_pasted_command_line_becomes_options() -> None:
    text = "HF_HOME=/x nice-server serve org/model --port 8000 --fast"
    found = COMMAND.parse_command(text, UNREAD)

    assert found.options == {
        "command": "nice-server", "args": ["serve", "org/model", "--port", "${PORT}", "--fast"],
    }  # fmt: skip
    assert (found.environment, found.not_understood) == ({"HF_HOME": "/x"}, [])


def test_an_update_is_read_by_the_backend_that_the_instance_has() -> None:
    now = merge(
        InstanceOptions(), read_definition({"backend_type": "command", "backend_options": {
            "command": "x", "args": ["${PORT}"]}})
    )  # fmt: skip
    flat = merge(now, read_definition({"health_path": "none"}, now.backend_type))

    assert flat.backend_options["health_path"] == "none"
    with pytest.raises(InvalidOption, match="ctx_size"):
        read_definition({"ctx_size": 1}, now.backend_type)


def test_options_of_another_backend_are_not_kept() -> None:
    now = merge(InstanceOptions(), read_definition({"model": "/m.gguf", "ctx_size": 4096}))
    body = {"backend_type": "command", "backend_options": {"command": "x"}, "pinned": True}
    after = merge(now, read_definition(body, now.backend_type))

    assert (now.backend_type, after.backend_type) == (LLAMA_CPP.name, "command")
    assert (after.backend_options, after.pinned) == ({"command": "x"}, True)


def test_the_environment_is_the_instances() -> None:
    body = {"backend_type": "command", "backend_options": {"environment": {"A": "b"}}}
    with pytest.raises(InvalidOption, match="move it out of 'backend_options'"):
        read_definition(body)
