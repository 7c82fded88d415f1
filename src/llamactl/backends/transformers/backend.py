"""Hugging Face Transformers' server.

https://github.com/huggingface/transformers/blob/main/docs/source/en/serving.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from llamactl.backends.contract import Api, Fields, Launch, Options, Start
from llamactl.backends.kind import Kind
from llamactl.backends.readiness import Readiness
from llamactl.backends.shared import argparse_options as arguments
from llamactl.backends.shared.argparse_backend import ArgparseBackend
from llamactl.backends.shared.hugging_face import OFFLINE, require_model
from llamactl.backends.transformers.failures import PATTERNS
from llamactl.backends.transformers.rules import TransformersRules
from llamactl.core.errors import InvalidOption
from llamactl.policy.definition.engine_help import EngineOption
from llamactl.policy.pasted import Pasted

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

_MODEL = EngineOption("model", (), "path", (), "", "folder or repository of the model", "")


def _settings() -> BackendSettings:
    from llamactl.backends.transformers.settings import TransformersSettings

    return TransformersSettings()


class Transformers(ArgparseBackend):
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
    taken = arguments.Taken(
        frozenset({"host", "api_key", "enable_cors"}),
        frozenset({"model", "quantization", "trust_remote_code"}),
    )
    not_pasted: ClassVar = {
        "help": "the engine answers it and ends; run it by hand",
        "enable_cors": "llamactl answers other web pages itself",
    }
    models = TransformersRules()
    failure_patterns = PATTERNS

    def read_help(self, text: str) -> Sequence[EngineOption]:
        return _with_model(arguments.listed(text, ("--host", "--port")))

    def check(self, start: Start) -> None:
        require_model(start)
        if str(start.options.get("model", "")).startswith("-"):
            raise InvalidOption("cannot use the option 'model': it looks like a flag; correct it")
        self.render(start.options, start.known)

    def launch(self, start: Start) -> Launch:
        options = dict(start.options)
        model = [str(options.pop("model"))] if "model" in options else []
        words = [*start.settings.args, *model, *self.render(options, start.known)]
        environment = {**OFFLINE, **start.settings.environment, **start.environment}
        return Launch([*words, "--host", start.host, "--port", str(start.port)], environment)

    def runs(self, found: Pasted) -> bool:
        return super().runs(found) and "serve" in found.words[1:4]

    def readiness(self, options: Options) -> Readiness:
        return Readiness("/health")  # it loads the model before it listens

    def own_devices(self, given: Options, count: int) -> Sequence[int] | None:
        kind, _, number = str(given.get("device", "")).partition(":")
        if kind == "cpu":
            return ()
        return (int(number),) if number.isdecimal() else None

    def knows_key(self, options: Options) -> bool:
        return False

    def served_model(self, options: Options) -> str:
        return str(options.get("model", ""))  # it refuses any other name


def _with_model(options: list[EngineOption]) -> list[EngineOption]:
    """The model has no flag."""
    return [*options, _MODEL] if options else []


TRANSFORMERS = Transformers()
