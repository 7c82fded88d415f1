"""llama.cpp's llama-server.

Names and behaviour follow its documentation:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from llamactl.backends.contract import Backend, Fields, Get, Launch, Options, Start
from llamactl.backends.kind import BuiltIn, Kind, Questions
from llamactl.backends.llama_cpp import options as names
from llamactl.backends.llama_cpp.api import API
from llamactl.backends.llama_cpp.checks import (
    GGUF_FILES,
    NOT_PASTED,
    check_served,
    for_engine,
    silenced_by,
)
from llamactl.backends.llama_cpp.devices import own_devices
from llamactl.backends.llama_cpp.errors import ADVICE
from llamactl.backends.llama_cpp.failures import PATTERNS, VAGUE
from llamactl.backends.llama_cpp.images import is_another, is_llama_cpp
from llamactl.backends.llama_cpp.recipe import FOR_GPU, LLAMA_SERVER, UNUSED
from llamactl.backends.llama_cpp.rules import GgufRules
from llamactl.backends.llama_cpp.running import telemetry
from llamactl.backends.llama_cpp.running.contexts import CONTEXTS
from llamactl.backends.llama_cpp.running.sleeping import SLEEP
from llamactl.backends.readiness import Readiness
from llamactl.backends.shared.extra_args import EXTRA_ARGS
from llamactl.backends.shared.secret_words import without_secrets
from llamactl.core.instance import OptionValue
from llamactl.core.model import ModelInfo
from llamactl.policy.definition.command_line import Parsed, Reading, parse_pasted
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary, read_help
from llamactl.policy.pasted import Pasted

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

_KEY = "LLAMA_API_KEY"
# As its help names them; a flag counts more than its variable.
SECRET_VARIABLES: Mapping[str, str] = {
    "--hf-token": "HF_TOKEN", "-hft": "HF_TOKEN",
    "--model-url": "LLAMA_ARG_MODEL_URL", "-mu": "LLAMA_ARG_MODEL_URL",
    "--mmproj-url": "LLAMA_ARG_MMPROJ_URL", "-mmu": "LLAMA_ARG_MMPROJ_URL",
    "--chat-template-kwargs": "LLAMA_ARG_CHAT_TEMPLATE_KWARGS",
}  # fmt: skip
_FORMER = {"LLAMA_ARG_CHAT_TEMPLATE_KWARGS": "LLAMA_CHAT_TEMPLATE_KWARGS"}  # in older versions
# Each open connection holds one of the server's threads, an idle one for five seconds. Left
# by default it has about five, which our pooled connections would use up before a burst.
# Its numbers are part of our `/metrics`.
_DEFAULTS: Mapping[str, OptionValue] = {"threads_http": 64, "metrics": True}


def _settings() -> BackendSettings:
    from llamactl.backends.llama_cpp.settings import LlamaCppSettings

    return LlamaCppSettings()


class LlamaCpp(Backend):
    kind = Kind(
        "llama_cpp", "llama-cpp", "LLAMACPP", "llama.cpp", _settings,
        programs=("llama-server", "llama.cpp", "server", "--server"),
        questions=Questions("--help", "--version", "--list-devices"),
        built_in=BuiltIn(
            "llamactl.engine", "xllamacpp", "built-in llama.cpp", UNUSED, LLAMA_SERVER
        ),
        for_gpu=FOR_GPU,
    )  # fmt: skip
    api = API
    fields = Fields(
        paths=names.PATHS, models=GGUF_FILES, folders=names.FOLDERS,
        words=frozenset({"extra_args"}),
    )  # fmt: skip
    models = GgufRules()
    contexts = CONTEXTS
    sleep = SLEEP
    # the most tokens of an answer: `n_predict` counts on every path, beside the path's own name
    synonyms = (
        frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"}),
    )
    preset_option = "models_preset"
    failure_patterns = PATTERNS
    vague_lines = VAGUE
    exits_when_asked = True
    error_advice = ADVICE
    metric_names = telemetry.METRIC_NAMES

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return names.canonical(options, known)

    def read_help(self, text: str) -> Sequence[EngineOption]:
        options = read_help(text)
        flags = {flag for option in options for flag in option.flags}
        is_help = {"--model", "--port"} <= flags  # a wrapper may print one of its own
        listed = [one for one in options if not names.is_question(one)]
        return [*listed, EXTRA_ARGS, names.ROUTER] if is_help else []

    def gpus(self, text: str) -> Sequence[str]:
        return telemetry.gpus(text)

    def check(self, start: Start) -> None:
        names.render(for_engine(start.options))
        check_served(start)

    def launch(self, start: Start) -> Launch:
        options, settings, known = for_engine(start.options), start.settings, start.known
        theirs = [*settings.args, *settings.environment, *start.environment]
        given = [
            *names.render({k: v for k, v in _DEFAULTS.items() if k not in options}, known),
            *names.name_flags(start.name, options, theirs),
            *settings.args,
            *names.render(options, known),
            *(CONTEXTS.words(start.context_folder, known) if start.context_folder else ()),
            *(SLEEP.words(start.sleep_s) if start.sleep_s else ()),
        ]
        words, hidden = without_secrets(given, SECRET_VARIABLES)
        hidden |= {_FORMER[name]: value for name, value in hidden.items() if name in _FORMER}
        environment = {**settings.environment, **start.environment, **hidden, _KEY: start.key}
        return Launch([*words, "--host", start.host, "--port", str(start.port)], environment)

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        return parse_pasted(found, _reading(known), self.kind.programs)

    def readiness(self, options: Options) -> Readiness:
        return Readiness("/health")

    def guarded_path(self, options: Options) -> str:
        return "/props"

    def own_devices(self, given: Options, count: int) -> Sequence[int] | None:
        return own_devices(given, count)

    def silenced_by(self, words: Sequence[str], environment: Mapping[str, str]) -> str:
        return silenced_by(self.models.given({}, words, environment))

    def metrics(self, get: Get) -> Mapping[str, str]:
        return telemetry.metrics(get)

    def busy_slots(self, get: Get) -> int | None:
        return telemetry.busy_slots(get)

    def served_models(self, get: Get) -> Mapping[str, ModelInfo]:
        return telemetry.served_models(get)


def _reading(known: Vocabulary) -> Reading:
    return Reading(
        names.with_former(known),
        partial(names.canonical, known=known),
        names.ADDING,
        NOT_PASTED,
        names.SCALED,
        ("hf_file",),
        _is_picked,
        partial(_is_served, known=names.with_former(known)),
    )


def _is_served(found: Pasted, known: Vocabulary) -> bool:
    """A private image has any name: then its flags or its variables are the engine's."""
    if is_llama_cpp(found.image) or is_another(found.image):
        return is_llama_cpp(found.image)
    flags = {word.partition("=")[0] for word in found.words}
    flags -= {"--host", "--port", "--api-key"}  # which any server may have
    return any(map(known.get, flags)) or any(map(_is_variable, found.environment))


def _is_variable(name: str) -> bool:
    return name.startswith("LLAMA_ARG_")


def _is_picked(image: str, word: str) -> bool:
    """Its image of all its tools chooses by the first word."""
    return ":full" in image and word in ("--server", "-s")


LLAMA_CPP = LlamaCpp()
