"""What MLX makes of model folders, and how much memory it takes for them.

Measured on a CPU, with models of 0.5 to 640 MB, idle and with four requests at once. Its prompt
cache has no limit by default, and what it comes to is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.backends.shared.folder_rules import FolderRules, Options
from llamactl.core.model import ModelShape

_OVER = 1.2  # of the weights: what they take as they are stored, and what is computed with them


class MlxRules(FolderRules):
    process = 92 << 20
    on_gpu = 300 << 20  # what a GPU's driver keeps for a process; assumed
    free = frozenset(
        {
            "allowed_origins", "chat_template", "chat_template_args", "log_level", "max_tokens",
            "min_p", "num_draft_tokens", "port", "temp", "top_k", "top_p",
            "use_default_chat_template",
        }
    )  # fmt: skip

    def given(self, own: Options, words: Sequence[str], environment: Mapping[str, str]) -> Options:
        found = dict(super().given(own, words, environment))
        if (draft := found.get("draft_model")) is not None:
            found["model_draft"] = draft
        return found

    def taken(self, shape: ModelShape, given: Options, draft: ModelShape | None) -> int:
        weights = shape.weights + (draft.weights if draft is not None else 0)
        cache = given.get("prompt_cache_bytes", 0)
        return int(weights * _OVER) + (cache if isinstance(cache, int) else 0)
