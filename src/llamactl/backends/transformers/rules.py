"""What `transformers serve` makes of model folders, and how much memory it takes for them.

Measured on a CPU with models of 0.5 and 80 MB, idle and with four requests at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.backends.shared.folder_rules import FolderRules, Options
from llamactl.core.model import ModelShape

_OVER = 1.05  # of the weights, and what is computed with them
_FLOATS: Mapping[str, int] = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}  # bits
_LOADED_AS: Mapping[str, int] = {"float32": 32, "float16": 16, "bfloat16": 16}
_SMALLER: Mapping[str, int] = {"bnb-8bit": 8, "bnb-4bit": 4}  # made at its start


class TransformersRules(FolderRules):
    process = 440 << 20  # PyTorch above all
    on_gpu = 500 << 20  # what PyTorch and the driver keep there; assumed
    free = frozenset(
        {"chat_template_kwargs", "default_seed", "log_level", "model_timeout", "port", "reasoning"}
    )

    def uses_gpu(self, given: Options) -> bool:
        return given.get("device") != "cpu"

    def taken(self, shape: ModelShape, given: Options, draft: ModelShape | None) -> int:
        return int(_weights(shape, given) * _OVER)


def _weights(shape: ModelShape, given: Options) -> int:
    """As they are loaded: as they are stored, unless the options say otherwise."""
    bits = _LOADED_AS.get(str(given.get("dtype", "auto")), 0)
    bits = _SMALLER.get(str(given.get("quantization", "")), bits)
    if not bits:
        return shape.weights
    stored = sum(shape.types.get(kind, 0) for kind in _FLOATS)
    floats = sum(shape.types.get(kind, 0) * bits // wide for kind, wide in _FLOATS.items())
    return shape.weights - stored + floats
