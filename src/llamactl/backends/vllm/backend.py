"""vLLM's OpenAI-compatible server.

Names and behaviour follow its documentation: https://docs.vllm.ai/en/latest/cli/serve/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from llamactl.backends.contract import Backend, Fields, Get, Launch, Options, Start
from llamactl.backends.kind import Kind, Questions
from llamactl.backends.readiness import Readiness
from llamactl.backends.shared.secret_words import without_secrets
from llamactl.backends.vllm import options as names
from llamactl.backends.vllm import reading
from llamactl.backends.vllm.api import API
from llamactl.backends.vllm.checks import NOT_PASTED, check_served
from llamactl.backends.vllm.errors import ADVICE
from llamactl.backends.vllm.failures import PATTERNS, VAGUE
from llamactl.backends.vllm.images import (
    check_serves,
    is_vllm,
    its_interpreter,
    runs_vllm,
    with_program,
)
from llamactl.backends.vllm.rules import VllmRules
from llamactl.backends.vllm.running import telemetry
from llamactl.backends.vllm.running.sleeping import SLEEP
from llamactl.core.instance import OptionValue
from llamactl.core.model import ModelInfo
from llamactl.policy.definition.command_line import Parsed, Reading, parse_pasted
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary
from llamactl.policy.pasted import Pasted

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

_KEY = "VLLM_API_KEY"
_SERVE = "serve"
# Without a GPU it would bind every instance to the same first core.
_UNBOUND = {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_SECRET_VARIABLES: Mapping[str, str] = {"--hf-token": "HF_TOKEN"}
_SERVED, _DRAIN = "served_model_name", "shutdown_timeout"


def _settings() -> BackendSettings:
    from llamactl.backends.vllm.settings import VllmSettings

    return VllmSettings()


class Vllm(Backend):
    kind = Kind(
        "vllm", "vllm", "VLLM", "vLLM", _settings, ("vllm",),
        questions=Questions("--help=all", limit_s=120.0), package="vllm",
        for_gpu={"NVIDIA": "install vllm itself, whose wheels are built for CUDA",
                 "AMD": "install vLLM's build for ROCm"},
    )  # fmt: skip
    api = API
    fields = Fields(
        programs=names.PROGRAMS, paths=names.PATHS, models=frozenset({"model"}),
        folders=names.FOLDERS, words=frozenset({"extra_args"}),
    )  # fmt: skip
    models = VllmRules()
    sleep = SLEEP
    synonyms = (frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"}),)
    failure_patterns = PATTERNS
    vague_lines = VAGUE
    error_advice = ADVICE
    metric_names = telemetry.METRIC_NAMES
    meanings = names.MEANINGS
    not_inherited = frozenset({"OMP_NUM_THREADS"})
    checks_model_first = True

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return names.canonical(options, known)

    def read_help(self, text: str) -> Sequence[EngineOption]:
        return names.listed(text)

    def check(self, start: Start) -> None:
        names.render(start.options)
        check_served(start)

    def launch(self, start: Start) -> Launch:
        """The model comes first: a flag of several words would take it for one of them.

        Its image serves by itself, so that no word says so.
        """
        settings, own = start.settings, reading.given(start.options)
        drains = _DRAIN in {*own, *reading.parse(settings.args)}
        lead = [*takewhile(lambda word: not word.startswith("-"), settings.args)]
        further = settings.args[len(lead) :]
        lead = lead if start.container is None or start.override else []
        model = str(start.options.get("model", ""))
        by_place = [model] if _SERVE in lead else ["--model", model]
        options = {key: value for key, value in start.options.items() if key != "model"}
        words = [
            *further,
            *([] if _SERVED in own else ["--served-model-name", start.name]),
            *([] if drains else ["--shutdown-timeout", str(start.drain_s)]),
            *names.render(options, start.known),
            *(SLEEP.words(start.sleep_s) if start.sleep_s else ()),
        ]
        words, hidden = without_secrets(words, _SECRET_VARIABLES)
        environment = {
            **_UNBOUND, **(SLEEP.environment if start.sleep_s else {}), **settings.environment,
            **start.environment, **hidden, _KEY: start.key,
        }  # fmt: skip
        return Launch(
            [*lead, *(by_place if model else ()), *words,
             "--host", start.host, "--port", str(start.port)],
            environment,
        )  # fmt: skip

    def own_devices(self, given: Options, count: int) -> Sequence[int] | None:
        """The ids count within CUDA_VISIBLE_DEVICES."""
        words = str(given.get("device_ids", "")).split(",")
        return [int(word) for word in words if word.strip().isdecimal()] or None

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        check_serves(found)
        parsed = parse_pasted(with_program(found), _reading(known), self.kind.programs)
        parsed.not_understood += its_interpreter(found)
        return parsed

    def runs(self, found: Pasted) -> bool:
        return runs_vllm(found)

    def readiness(self, options: Options) -> Readiness:
        return Readiness("/health")

    def guarded_path(self, options: Options) -> str:
        return "/v1/models"

    def asked_for(self, name: str, options: Options) -> str:
        """It refuses every other name, aliases of the instance too."""
        served = reading.given(options).get(_SERVED) or name
        return str(served if isinstance(served, str | int | float) else served[0])

    def adapters(self, options: Options) -> Sequence[str]:
        return reading.adapters(reading.given(options))

    def metrics(self, get: Get) -> Mapping[str, str]:
        return telemetry.metrics(get)

    def busy_slots(self, get: Get) -> int | None:
        return telemetry.busy_slots(get)

    def served_models(self, get: Get) -> Mapping[str, ModelInfo]:
        return telemetry.served_models(get)


def _reading(known: Vocabulary) -> Reading:
    return Reading(
        names.with_former(known), partial(names.canonical, known=known), names.ADDING, NOT_PASTED,
        serves=lambda found: is_vllm(found.image),
    )  # fmt: skip


VLLM = Vllm()
