"""What the backends' APIs offer, as the data path takes it."""

from __future__ import annotations

from llamactl.backends import BACKENDS, advice
from llamactl.compat.ollama.paths import INFERENCE, WITH_KEY
from llamactl.proxy import EnginePaths


def engine_paths() -> EnginePaths:
    apis = {name: backend.api for name, backend in BACKENDS.items()}
    inference = {
        name: frozenset((method.encode(), path) for method, path in api.inference)
        for name, api in apis.items()
    }
    by_model = frozenset[str]().union(*(api.by_model for api in apis.values()))
    guarded = {name: api.guarded for name, api in apis.items()}
    prefixes = {api.prefix: name for name, api in apis.items() if api.prefix}
    closed = {name: api.closed for name, api in apis.items()}
    return EnginePaths(inference, guarded, by_model, prefixes, INFERENCE, WITH_KEY, advice, closed)
