"""What Ollama tells of a model: as much of it as the caller may know here."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llamactl.core.errors import LlamactlError
from llamactl.wire.models import InspectionBody

if TYPE_CHECKING:
    from llamactl.client import AsyncClient


async def described(client: AsyncClient, name: str) -> dict[str, Any]:
    """As in lists. Paths and headers are for management keys; others see the name alone."""
    created, seen = await _known(client, name)
    at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    return {
        "name": name, "model": name, "modified_at": at, "size": seen.size if seen else 0,
        "digest": hashlib.sha256(f"{name}{seen.path if seen else ''}".encode()).hexdigest(),
        "details": _details(seen),
    }  # fmt: skip


async def shown(client: AsyncClient, name: str) -> dict[str, Any]:
    created, seen = await _known(client, name)
    at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    info: dict[str, Any] = {}
    if seen:
        kind = seen.architecture
        info = {
            "general.architecture": kind, "general.parameter_count": seen.parameters,
            f"{kind}.context_length": seen.context_length, f"{kind}.block_count": seen.layers,
            f"{kind}.embedding_length": seen.embedding_length,
            f"{kind}.attention.head_count": seen.heads, "tokenizer.ggml.model": seen.tokenizer,
        }  # fmt: skip
    return {
        "modelfile": f"FROM {seen.path}\n" if seen else "",
        "parameters": "", "license": seen.license if seen else "",
        "template": seen.chat_template if seen else "", "modified_at": at,
        "details": _details(seen), "model_info": info, "capabilities": _capabilities(seen),
    }  # fmt: skip


async def _known(client: AsyncClient, name: str) -> tuple[int, InspectionBody | None]:
    with suppress(LlamactlError):
        row = await client.instances.get(name)
        model = row.options["backend_options"].get("model")
        if isinstance(model, str):
            with suppress(LlamactlError):
                return row.created, await client.models.inspect(model)
        return row.created, None
    return 0, None


def _details(seen: InspectionBody | None) -> dict[str, Any]:
    return {
        "parent_model": "", "format": "gguf", "family": seen.architecture if seen else "",
        "families": [seen.architecture] if seen else [],
        "parameter_size": _count(seen.parameters) if seen else "",
        "quantization_level": seen.quantization if seen else "",
    }  # fmt: skip


def _count(parameters: int) -> str:
    billions = parameters / 1e9
    return f"{billions:.1f}B" if billions >= 1 else f"{parameters / 1e6:.2f}M"


def _capabilities(seen: InspectionBody | None) -> list[str]:
    if seen is None:
        return ["completion"]
    template = seen.chat_template
    found = ["completion"]
    if "tools" in template:
        found.append("tools")
    if seen.mmproj:
        found.append("vision")
    if "enable_thinking" in template or "<think>" in template:
        found.append("thinking")
    return found
