"""MLX: from options to a command, from a command to options, and what its log says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llamactl.backends import backend_of
from llamactl.backends.contract import Start
from llamactl.backends.mlx import MLX
from llamactl.core.errors import InvalidOption
from llamactl.core.exits import FailureClass
from llamactl.core.instance import InstanceOptions, OptionValue
from llamactl.policy.definition.engine_help import Vocabulary

# of mlx_lm.server 0.32.2
HELP = """usage: mlx_lm.server [-h] [--model MODEL] [--adapter-path ADAPTER_PATH]

MLX Http Server.

options:
  -h, --help            show this help message and exit
  --model MODEL         The path to the MLX model weights, tokenizer, and
                        config
  --adapter-path ADAPTER_PATH
                        Optional path for the trained adapter weights and
                        config.
  --host HOST           Host for the HTTP server (default: 127.0.0.1)
  --port PORT           Port for the HTTP server (default: 8080)
  --draft-model DRAFT_MODEL
                        A model to be used for speculative decoding.
  --num-draft-tokens NUM_DRAFT_TOKENS
                        Number of tokens to draft when using speculative
                        decoding.
  --trust-remote-code   Enable trusting remote code for tokenizer
  --log-level {DEBUG,INFO,WARNING,ERROR,CRITICAL}
                        Set the logging level (default: INFO)
  --temp TEMP           Default sampling temperature (default: 0.0)
  --max-tokens MAX_TOKENS
                        Default maximum number of tokens to generate (default:
                        512)
  --chat-template-args CHAT_TEMPLATE_ARGS
                        A JSON formatted string of arguments for the
                        tokenizer's apply_chat_template, e.g.
                        '{"enable_thinking":false}'
  --pipeline            Use pipelining instead of tensor parallelism
"""
KNOWN = Vocabulary(MLX.read_help(HELP))
SETTINGS = MLX.kind.settings


def start(environment: dict[str, str] | None = None, **options: Any) -> Start:
    given = InstanceOptions(backend_options=options, environment=environment or {})
    return Start.of(
        given, SETTINGS.engine, name="one", host="127.0.0.1", port=8123, key="the-key", known=KNOWN
    )


def test_its_help_gives_its_options_their_types() -> None:
    assert backend_of("mlx_lm") is MLX
    kinds = {option.name: option.kind for option in KNOWN.values()}

    assert kinds["temp"] == "number"
    assert kinds["max_tokens"] == "integer"
    assert kinds["trust_remote_code"] == kinds["pipeline"] == "switch"
    assert kinds["adapter_path"] == "path"
    assert KNOWN["--log-level"].choices == ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def test_its_command_holds_the_options_and_where_it_listens_and_no_key() -> None:
    launch = MLX.launch(
        start(model="/models/one", temp=0.5, pipeline=True, trust_remote_code=False,
              chat_template_args="-1")
    )  # fmt: skip

    assert launch.words == [
        "--model", "/models/one", "--temp", "0.5", "--pipeline", "--chat-template-args=-1",
        "--host", "127.0.0.1", "--port", "8123",
    ]  # fmt: skip
    assert "the-key" not in str(launch)
    assert not MLX.knows_key({})


def test_additional_arguments_come_last_and_say_not_where_it_listens() -> None:
    launch = MLX.launch(start(extra_args=["--new", "-1"], model="/models/one"))

    assert launch.words[:4] == ["--model", "/models/one", "--new", "-1"]
    assert MLX.read_help("usage: wrapper\n\n  --fast  be fast\n") == []
    with pytest.raises(InvalidOption, match="can't contain '--port': llamactl sets it"):
        MLX.check(start(model="/m", extra_args=["--port=9"]))
    with pytest.raises(InvalidOption, match="must be a list of strings"):
        MLX.check(start(model="/m", extra_args="--new"))


def test_it_looks_nothing_up_on_the_hub_unless_it_is_told_to() -> None:
    assert MLX.launch(start(model="org/x")).environment == {"HF_HUB_OFFLINE": "1"}
    online = MLX.launch(start({"HF_HUB_OFFLINE": "0"}, model="org/x"))
    assert online.environment == {"HF_HUB_OFFLINE": "0"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "names no model; set 'model'"),
        ({"model": "/m", "x": ["--host"]}, "begins with '-'"),
        ({"model": "/m\0"}, "contains a NUL"),
    ],
)
def test_what_can_not_become_a_command_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        MLX.check(start(**options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "'host' is set by llamactl"),
        ({"temp": True}, "cannot set the engine option 'temp' to true: it needs a value"),
        ({"max-tokens": 4, "max_tokens": 5}, "'max_tokens' is given twice"),
        ({"a b": 4}, "'a b' is not a valid engine option name"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        MLX.canonical(options, KNOWN)


@pytest.mark.parametrize("known", [KNOWN, Vocabulary()], ids=["help", "no help"])
@pytest.mark.parametrize(
    "options",
    [
        {"trust_remote": True}, {"draft_m": "/etc"}, {"adapt": "/etc"}, {"ho": "0.0.0.0"},
        {"extra_args": ["--trust-rem"]}, {"extra_args": ["--mod=/etc"]}, {"extra_args": ["--po=9"]},
    ],
)  # fmt: skip
def test_a_flag_that_is_cut_short_is_refused(options: dict[str, Any], known: Vocabulary) -> None:
    """The engine would know which is meant, and what the settings forbid would not apply."""
    with pytest.raises(InvalidOption, match="write it in full"):
        given = MLX.canonical({"model": "/m", **options}, known)
        MLX.check(replace(start(), options=given, known=known))  # type: ignore[arg-type]


def test_options_have_one_name() -> None:
    given: dict[str, OptionValue | None] = {
        "--adapter-path": "/a", "no-pipeline": True, "max-tokens": None,
    }  # fmt: skip

    assert MLX.canonical(given, KNOWN) == {
        "adapter_path": "/a", "pipeline": False, "max_tokens": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "mlx_lm.server --model org/x --temp 0.5 --host 0.0.0.0 --port 9000",
        "python -m mlx_lm.server --model org/x --temp=0.5",
        "python3 -m mlx_lm server --model org/x --temp 0.5",
        "/opt/mlx/bin/mlx_lm.server --model org/x --temp 0.5",
        "HF_HUB_OFFLINE=0 mlx_lm.server --model org/x --temp 0.5",
    ],
)
def test_a_pasted_command_becomes_options(text: str) -> None:
    assert MLX.parse_command(text, KNOWN).options == {"model": "org/x", "temp": 0.5}


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("mlx_lm.server: error: unrecognized arguments: --bogus 1", FailureClass.BAD_OPTION),
        ("mlx_lm.server: error: argument --temp: invalid float value: 'hot'",
         FailureClass.BAD_OPTION),
        ("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'",
         FailureClass.MODEL_FILE_MISSING),
        ("huggingface_hub.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot",
         FailureClass.MODEL_FILE_MISSING),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/m/config.json'",
         FailureClass.MODEL_INVALID),
        ("FileNotFoundError: No safetensors found in /m", FailureClass.MODEL_INVALID),
        ("RuntimeError: [load_safetensors] The JSON header is 2144 bytes long but the file is "
         "only 1000 bytes.", FailureClass.MODEL_INVALID),
        ("ValueError: Model type wonder not supported.", FailureClass.MODEL_INVALID),
        ("ValueError: Couldn't instantiate the backend tokenizer from one of: ",
         FailureClass.MODEL_INVALID),
        ("FileNotFoundError: The adapter path does not exist: /tmp/none",
         FailureClass.BAD_OPTION),
        ("2026-11-29 04:25:28,270 - ERROR - mlx_lm.server generation thread died: Model type "
         "wonder not supported.", FailureClass.MODEL_INVALID),
        ("2026-11-29 04:25:28,270 - ERROR - mlx_lm.server generation thread died: odd",
         FailureClass.UNKNOWN),
        ("OSError: [Errno 98] Address already in use", FailureClass.PORT_TAKEN),
    ],
)  # fmt: skip
def test_what_it_logged_here_when_it_failed_is_known(line: str, failure: FailureClass) -> None:
    found = (one.failure for one in MLX.failure_patterns if one.pattern.search(line))

    assert next(found) is failure
