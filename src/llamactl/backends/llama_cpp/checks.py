"""What llama-server must be given, and must not, so that it can serve an instance."""

from __future__ import annotations

import re

from llamactl.backends.contract import Options, Start
from llamactl.backends.llama_cpp.models import SEVERAL, given
from llamactl.backends.llama_cpp.options import QUESTIONS, ROUTER, SOURCES
from llamactl.core.errors import InvalidOption

GGUF_FILES = frozenset(
    {"control_vector", "lora", "mmproj", "model", "model_draft", "model_vocoder"}
)  # fmt: skip
# What no instance may have is left out of a command line.
NOT_PASTED = {
    "api_prefix": "llamactl routes requests to the engine's own paths",
    **dict.fromkeys(QUESTIONS, "the engine answers it and ends; run it by hand"),
}
# Switches that name a model of the hub, such as --gpt-oss-20b-default or --fim-qwen-7b-spec.
_PRESET = re.compile(r"(?!spec_)[a-z0-9_]+_(default|spec)\Z")

_NO_ERRORS = re.compile(r"(0|-\d+)\Z")  # a verbosity below that of errors


def check_served(start: Start) -> None:
    """Raises InvalidOption."""
    settings = start.settings
    variables = {**settings.environment, **start.environment}
    options = given(start.options, settings.args, variables)
    if options.get("api_prefix"):
        raise InvalidOption(
            "cannot use 'api_prefix': llamactl routes requests to the engine's own paths; leave it "
            "out"
        )
    if not isinstance(options.get(ROUTER.name, False), bool):
        raise InvalidOption("'router' must be true or false")
    if start.preset and options.get("models_preset"):
        raise InvalidOption("the instance has 'preset_ini' and 'models_preset'; give one of them")
    named = (
        start.override or start.preset or any(map(options.get, (*SOURCES, *SEVERAL, ROUTER.name)))
    )
    if not named and not any(value and _PRESET.match(key) for key, value in options.items()):
        raise InvalidOption(
            "the instance names no model; set 'model' to a file or 'hf_repo' to a repository, or "
            "for several models 'models_dir', 'models_preset' or 'router': true",
            details={"missing": "model"},
        )


def for_engine(options: Options) -> Options:
    """Without what only llamactl understands."""
    return {key: value for key, value in options.items() if key != ROUTER.name}


def silenced_by(options: Options) -> str:
    """The option that keeps it from saying why it ends; "" if there is none."""
    if options.get("log_disable"):
        return "log_disable"
    said = options.get("verbosity")
    last = said[-1] if isinstance(said, list) else said
    return "verbosity" if _NO_ERRORS.match(str(last)) else ""
