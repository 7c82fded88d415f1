"""MLX's mlx_lm.server.

https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/SERVER.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from llamactl.backends.contract import Api, Fields, Launch, Options, Start
from llamactl.backends.kind import Kind
from llamactl.backends.mlx.failures import PATTERNS
from llamactl.backends.mlx.rules import MlxRules
from llamactl.backends.readiness import ProbeRequest, Readiness
from llamactl.backends.shared import argparse_options as arguments
from llamactl.backends.shared.argparse_backend import ArgparseBackend
from llamactl.backends.shared.hugging_face import OFFLINE, require_model
from llamactl.policy.definition.engine_help import EngineOption

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

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


class Mlx(ArgparseBackend):
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
    taken = arguments.Taken(
        frozenset({"host", "api_key"}),
        frozenset({"adapter_path", "draft_model", "model", "trust_remote_code"}),
    )
    not_pasted: ClassVar = {"help": "the engine answers it and ends; run it by hand"}
    stripped = frozenset({"adapters", "draft_model"})
    failure_patterns = PATTERNS

    def read_help(self, text: str) -> Sequence[EngineOption]:
        return arguments.listed(text, ("--model", "--port"))

    def check(self, start: Start) -> None:
        self.render(start.options, start.known)
        require_model(start)

    def launch(self, start: Start) -> Launch:
        words = [*start.settings.args, *self.render(start.options, start.known)]
        environment = {**OFFLINE, **start.settings.environment, **start.environment}
        return Launch([*words, "--host", start.host, "--port", str(start.port)], environment)

    def readiness(self, options: Options) -> Readiness:
        return _READY

    def knows_key(self, options: Options) -> bool:
        return False

    def served_model(self, options: Options) -> str:
        return _MODEL


MLX = Mlx()
