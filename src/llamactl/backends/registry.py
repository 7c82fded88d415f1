"""The one registry: a backend is one folder, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from llamactl.backends.command import COMMAND
from llamactl.backends.contract import Backend, advice_on
from llamactl.backends.kind import Kind
from llamactl.backends.llama_cpp import LLAMA_CPP
from llamactl.backends.mlx import MLX
from llamactl.backends.transformers import TRANSFORMERS
from llamactl.backends.vllm import VLLM
from llamactl.policy.definition.command_line import is_engine
from llamactl.policy.pasted import read_pasted

# The first is what an instance gets that asks for none.
_ALL: tuple[Backend, ...] = (
    LLAMA_CPP,
    COMMAND,
    MLX,
    TRANSFORMERS,
    VLLM,
)
BACKENDS: Mapping[str, Backend] = {backend.kind.type: backend for backend in _ALL}
DEFAULT = _ALL[0]
KINDS: tuple[Kind, ...] = tuple(backend.kind for backend in _ALL)
BY_SECTION: Mapping[str, Kind] = {kind.section: kind for kind in KINDS}


def backend_of(backend_type: str) -> Backend:
    """The backend of an instance; "": its definition names none."""
    return BACKENDS[backend_type] if backend_type else DEFAULT


def runs(text: str) -> Backend | None:
    """The one whose engine a pasted command surely runs. Raises InvalidRequest."""
    for backend in _ALL:
        found = read_pasted(text, partial(is_engine, programs=backend.kind.programs))
        if backend.runs(found):
            return backend
    return None


def advice(backend_type: str, message: str) -> str:
    """What to do about what an engine answered; "" where nothing is known."""
    return advice_on(backend_of(backend_type), message)
