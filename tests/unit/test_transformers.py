"""Hugging Face's server: from options to a command, and back."""

from __future__ import annotations

from typing import Any

import pytest

from llamactl.backends import backend_of
from llamactl.backends.contract import Start
from llamactl.backends.transformers import TRANSFORMERS
from llamactl.core.errors import InvalidOption
from llamactl.core.exits import FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.policy.definition.engine_help import Vocabulary

# of transformers 5.24
HELP = """Usage: transformers serve [OPTIONS] [FORCE_MODEL]

Options:
  --continuous-batching / --no-continuous-batching
                                  Enable continuous batching with paged
                                  attention. Configure with --cb-* flags.
                                  [default: no-continuous-batching]
  --reasoning [on|off|auto]       Reasoning mode. 'auto' uses the chat
                                  template default.  [default: auto]
  --device TEXT                   Device for inference (e.g. 'auto', 'cuda:0',
                                  'cpu').  [default: auto]
  --model-timeout INTEGER         Seconds before idle model is unloaded.
                                  Ignored when force_model is set.  [default:
                                  300]
  --cb-max-memory-percent FLOAT   Max GPU memory fraction for KV cache
                                  (0.0-1.0).
  --host TEXT                     Server listen address.  [default: localhost]
  --port INTEGER                  Server listen port.  [default: 8000]
  --enable-cors / --no-enable-cors
                                  Enable permissive CORS.  [default: no-
                                  enable-cors]
  --default-seed INTEGER          Default torch seed.
  -h, --help                      Show this message and exit.
"""
KNOWN = Vocabulary(TRANSFORMERS.read_help(HELP))


def start(**options: Any) -> Start:
    given, settings = InstanceOptions(backend_options=options), TRANSFORMERS.kind.settings.engine
    return Start.of(given, settings, name="one", host="127.0.0.1", port=8123, key="k", known=KNOWN)


def test_its_help_gives_its_options_their_types() -> None:
    assert backend_of("transformers") is TRANSFORMERS
    kinds = {option.name: option.kind for option in KNOWN.values()}

    assert kinds["continuous_batching"] == "switch"
    assert kinds["model_timeout"] == kinds["default_seed"] == "integer"
    assert kinds["cb_max_memory_percent"] == "number"
    assert KNOWN["--reasoning"].choices == ("on", "off", "auto")
    assert "help" not in kinds


def test_its_model_comes_first_and_has_no_flag() -> None:
    launch = TRANSFORMERS.launch(
        start(device="cpu", model="/models/one", continuous_batching=False, default_seed=3)
    )

    assert launch.words == [
        "serve", "/models/one", "--device", "cpu", "--no-continuous-batching",
        "--default-seed", "3", "--host", "127.0.0.1", "--port", "8123",
    ]  # fmt: skip
    assert launch.environment == {"HF_HUB_OFFLINE": "1"}
    assert TRANSFORMERS.served_model({"model": "/models/one"}) == "/models/one"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "names no model"),
        ({"model": "--device"}, "looks like a flag"),
        ({"model": "/m", "extra_args": ["--host", "0.0.0.0"]}, "llamactl sets it"),
    ],
)
def test_what_can_not_become_a_command_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        TRANSFORMERS.check(start(**options))


@pytest.mark.parametrize(
    "text",
    [
        "transformers serve org/x --device cpu --port 8000",
        "python -m transformers serve org/x --device=cpu --host 0.0.0.0",
        "/opt/hf/bin/transformers serve org/x --device cpu",
    ],
)
def test_a_pasted_command_becomes_options(text: str) -> None:
    options = TRANSFORMERS.parse_command(text, KNOWN).options

    assert options == {"model": "org/x", "device": "cpu"}


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("Error: No such option: --bogus", FailureClass.BAD_OPTION),
        ("ValueError: Using a `device_map` requires `accelerate`. You can install it with",
         FailureClass.COMMAND_MISSING),
        ("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'",
         FailureClass.MODEL_FILE_MISSING),
        ("ERROR: [Errno 98] error while attempting to bind on address", FailureClass.PORT_TAKEN),
    ],
)  # fmt: skip
def test_what_it_says_when_it_fails_is_known(line: str, failure: FailureClass) -> None:
    found = (one.failure for one in TRANSFORMERS.failure_patterns if one.pattern.search(line))

    assert next(found) is failure
