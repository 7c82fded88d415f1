"""The one registry: a backend is one folder, and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.backends.command import COMMAND
from llamactl.backends.contract import Backend, Kind, advice_on
from llamactl.backends.llama_cpp import LLAMA_CPP
from llamactl.backends.mlx import MLX
from llamactl.backends.planned import PLANNED

# The first is what an instance gets that asks for none.
_ALL: tuple[Backend, ...] = (
    LLAMA_CPP,
    COMMAND,
    MLX,
)
BACKENDS: Mapping[str, Backend] = {backend.kind.type: backend for backend in _ALL}
DEFAULT = _ALL[0]
KINDS: tuple[Kind, ...] = (*(backend.kind for backend in _ALL), *PLANNED)
BY_SECTION: Mapping[str, Kind] = {kind.section: kind for kind in KINDS}


def backend_of(backend_type: str) -> Backend:
    """The backend of an instance; "": its definition names none."""
    return BACKENDS[backend_type] if backend_type else DEFAULT


def advice(backend_type: str, message: str) -> str:
    """What to do about what an engine answered; "" where nothing is known."""
    return advice_on(backend_of(backend_type), message)
