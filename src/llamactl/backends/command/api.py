"""The paths that inference servers have in common; of other paths nothing is known."""

from __future__ import annotations

from llamactl.backends.contract import Api
from llamactl.backends.shared.openai import OPENAI_POSTS

API = Api(
    inference=frozenset(("POST", path) for path in OPENAI_POSTS),
    guarded=frozenset({"api", "docs", "health", "metrics", "models", "props", "slots", "tokenize"}),
)
