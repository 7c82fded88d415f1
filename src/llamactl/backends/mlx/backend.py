"""MLX's mlx_lm.server.

https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/SERVER.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from llamactl.backends.contract import Api, Backend, Fields, Launch, Options, Start
from llamactl.backends.kind import Kind
from llamactl.backends.mlx.failures import PATTERNS
from llamactl.backends.mlx.rules import MlxRules
from llamactl.backends.readiness import ProbeRequest, Readiness
from llamactl.backends.shared import argparse_options as arguments
from llamactl.backends.shared.hugging_face import OFFLINE, require_model
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

_OURS = frozenset({"host", "api_key"})
_ANSWERED_AND_ENDED = {"help": "the engine answers it and ends; run it by hand"}
# The only name that never makes it load another model (server.py, `ModelProvider.load`).
_MODEL = "default_model"
# It answers `/health` before its model is loaded; a token is generated only after that.
_READY = Readiness(
    "/health",
    ProbeRequest("/v1/completions", f'{{"model":"{_MODEL}","prompt":"a","max_tokens":1}}'),
)


def _settings() -> BackendSettings:
    from llamactl.backends.mlx.settings import MlxSettings

    return MlxSettings()


class Mlx(Backend):
    kind = Kind(
        "mlx_lm", "mlx", "MLX", "MLX", _settings, ("mlx_lm.server", "mlx_lm"), package="mlx_lm",
        for_gpu={"NVIDIA": 'install "mlx[cuda]" beside mlx-lm'},
    )  # fmt: skip
    api = Api(
        inference=frozenset({("POST", "/v1/chat/completions"), ("POST", "/v1/completions")}),
        guarded=frozenset({"health", "models"}),
    )
    fields = Fields(
        words=frozenset({"extra_args"}),
        paths=frozenset({"adapter_path", "draft_model", "model"}),
        models=frozenset({"draft_model", "model"}),
        folders=frozenset({"adapter_path", "draft_model", "model"}),
    )
    models = MlxRules()
    stripped = frozenset({"adapters", "draft_model"})
    failure_patterns = PATTERNS

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return arguments.canonical(options, known, _OURS)

    def read_help(self, text: str) -> Sequence[EngineOption]:
        return arguments.listed(text, ("--model", "--port"))

    def check(self, start: Start) -> None:
        arguments.render(start.options, start.known, _OURS)
        require_model(start)

    def launch(self, start: Start) -> Launch:
        words = [*start.settings.args, *arguments.render(start.options, start.known, _OURS)]
        environment = {**OFFLINE, **start.settings.environment, **start.environment}
        return Launch([*words, "--host", start.host, "--port", str(start.port)], environment)

    def parse_command(self, text: str, known: Vocabulary) -> Parsed:
        is_ours = partial(is_engine, programs=self.kind.programs)
        return self.parse_pasted(read_pasted(text, is_ours), known)

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        canonical = partial(self.canonical, known=known)
        how = Reading(known, canonical, not_taken=_ANSWERED_AND_ENDED)
        return parse_pasted(found, how, self.kind.programs)

    def runs(self, found: Pasted) -> bool:
        return names_module(found.words, self.kind.programs)

    def readiness(self, options: Options) -> Readiness:
        return _READY

    def knows_key(self, options: Options) -> bool:
        return False

    def served_model(self, options: Options) -> str:
        return _MODEL


MLX = Mlx()
