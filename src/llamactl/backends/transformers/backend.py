"""Hugging Face Transformers' server.

https://github.com/huggingface/transformers/blob/main/docs/source/en/serving.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from llamactl.backends.contract import Api, Backend, Fields, Launch, Options, Start
from llamactl.backends.kind import Kind
from llamactl.backends.readiness import Readiness
from llamactl.backends.shared import argparse_options as arguments
from llamactl.backends.shared.hugging_face import OFFLINE, require_model
from llamactl.backends.transformers.failures import PATTERNS
from llamactl.backends.transformers.rules import TransformersRules
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.command_line import (
    Parsed,
    Reading,
    is_engine,
    names_module,
    parse_pasted,
)
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary
from llamactl.policy.pasted import Pasted, read_pasted

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

_MODEL = EngineOption("model", (), "path", (), "", "folder or repository of the model", "")
_OURS = frozenset({"host", "api_key", "enable_cors"})
_NOT_TAKEN = {
    "help": "the engine answers it and ends; run it by hand",
    "enable_cors": "llamactl answers other web pages itself",
}


def _settings() -> BackendSettings:
    from llamactl.backends.transformers.settings import TransformersSettings

    return TransformersSettings()


class Transformers(Backend):
    kind = Kind(
        "transformers", "transformers", "TRANSFORMERS", "Transformers", _settings,
        ("transformers",), package="transformers",
        for_gpu={"NVIDIA": "install PyTorch's build for CUDA beside transformers",
                 "AMD": "install PyTorch's build for ROCm beside transformers"},
    )  # fmt: skip
    api = Api(
        inference=frozenset(
            ("POST", f"/v1/{path}")
            for path in ("audio/transcriptions", "chat/completions", "completions", "responses")
        ),
        guarded=frozenset({"health", "load_model", "models", "reset"}),
    )
    fields = Fields(
        words=frozenset({"extra_args"}),
        paths=frozenset({"model"}),
        models=frozenset({"model"}),
        folders=frozenset({"model"}),
    )
    models = TransformersRules()
    failure_patterns = PATTERNS

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return arguments.canonical(options, known, _OURS)

    def read_help(self, text: str) -> Sequence[EngineOption]:
        return _with_model(arguments.listed(text, ("--host", "--port")))

    def check(self, start: Start) -> None:
        require_model(start)
        if str(start.options.get("model", "")).startswith("-"):
            raise InvalidOption("cannot use the option 'model': it looks like a flag; correct it")
        arguments.render(start.options, start.known, _OURS)

    def launch(self, start: Start) -> Launch:
        options = dict(start.options)
        model = [str(options.pop("model"))] if "model" in options else []
        words = [*start.settings.args, *model, *arguments.render(options, start.known, _OURS)]
        environment = {**OFFLINE, **start.settings.environment, **start.environment}
        return Launch([*words, "--host", start.host, "--port", str(start.port)], environment)

    def parse_command(self, text: str, known: Vocabulary) -> Parsed:
        is_ours = partial(is_engine, programs=self.kind.programs)
        return self.parse_pasted(read_pasted(text, is_ours), known)

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        canonical = partial(self.canonical, known=known)
        how = Reading(known, canonical, not_taken=_NOT_TAKEN)
        return parse_pasted(found, how, self.kind.programs)

    def runs(self, found: Pasted) -> bool:
        return names_module(found.words, self.kind.programs) and found.words[1:2] == ["serve"]

    def readiness(self, options: Options) -> Readiness:
        return Readiness("/health")  # it loads the model before it listens

    def knows_key(self, options: Options) -> bool:
        return False

    def served_model(self, options: Options) -> str:
        return str(options.get("model", ""))  # it refuses any other name


def _with_model(options: list[EngineOption]) -> list[EngineOption]:
    """The model has no flag."""
    return [_MODEL, *options] if options else []


TRANSFORMERS = Transformers()
