"""What Ollama says about a model, limited to what the caller may see.

A model that somebody may use is described by its row of `/v1/models`, which has no path. Who may
manage also gets what its file says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llamactl.core.errors import LlamactlError
from llamactl.schemas.instances import InstanceBody
from llamactl.schemas.models import InspectionBody

if TYPE_CHECKING:
    from llamactl.client import AsyncClient

Row = Mapping[str, Any]  # of /v1/models


def described(row: Row) -> dict[str, Any]:
    """As in lists."""
    meta, name = _meta(row), row["id"]
    same = f"{name} {meta.get('size')} {meta.get('modified')}"
    return {
        "name": name, "model": name, "modified_at": _modified(row), "size": meta.get("size", 0),
        "digest": hashlib.sha256(same.encode()).hexdigest(), "details": _details(meta),
    }  # fmt: skip


def running(row: Row, managed: InstanceBody | None) -> dict[str, Any]:
    """As `described`, and what it takes. When it goes is for those to know who manage."""
    ends = datetime.max.replace(tzinfo=UTC)
    more: dict[str, Any] = {"size_vram": 0}
    if managed is not None:
        gpus = sum(managed.memory.gpus.values())
        more = {"size": managed.memory.ram + managed.memory.shared + gpus, "size_vram": gpus}
        if managed.idle_left_s is not None:
            ends = datetime.now(UTC) + timedelta(seconds=managed.idle_left_s)
    return {
        **described(row), **more, "expires_at": _text(ends),
        "context_length": row.get("context_length", 0),
    }  # fmt: skip


async def shown(client: AsyncClient, row: Row) -> dict[str, Any]:
    meta, file = _meta(row), await _file(client, row["id"])
    kind, context = meta.get("architecture", ""), row.get("context_length")
    info = {
        "general.architecture": kind, "general.parameter_count": meta.get("n_params"),
        f"{kind}.context_length": meta.get("n_ctx_train"),
        f"{kind}.embedding_length": meta.get("n_embd"), f"{kind}.block_count": meta.get("n_layer"),
        f"{kind}.attention.head_count": file and file.heads,
        "tokenizer.ggml.model": file and file.tokenizer,
    }  # fmt: skip
    parameters = f"num_ctx                        {context}" if context else ""
    source = file.path if file else row["id"]
    asked = f"PARAMETER num_ctx {context}\n" if context else ""
    return {
        "modelfile": f"FROM {source}\n{asked}", "parameters": parameters,
        "license": file.license if file else "", "template": file.chat_template if file else "",
        "modified_at": _modified(row), "details": _details(meta),
        "model_info": {key: value for key, value in info.items() if value},
        "capabilities": row.get("capabilities") or ["completion"],
    }  # fmt: skip


async def _file(client: AsyncClient, name: str) -> InspectionBody | None:
    """What a management key may know. None for other keys, and if it is not a GGUF."""
    with suppress(LlamactlError):
        options = (await client.instances.get(name)).options["backend_options"]
        if isinstance(model := options.get("model"), str):
            return await client.models.inspect(model)
    return None


def _meta(row: Row) -> Mapping[str, Any]:
    found: Mapping[str, Any] = row.get("meta") or {}
    return found


def _modified(row: Row) -> str:
    seconds = _meta(row).get("modified") or row.get("created", 0)
    return _text(datetime.fromtimestamp(seconds, UTC))


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _details(meta: Mapping[str, Any]) -> dict[str, Any]:
    family = meta.get("architecture", "")
    return {
        "parent_model": "", "format": "gguf", "family": family,
        "families": [family] if family else [],
        "parameter_size": _count(meta["n_params"]) if "n_params" in meta else "",
        "quantization_level": meta.get("quantization", ""),
    }  # fmt: skip


def _count(parameters: int) -> str:
    billions = parameters / 1e9
    return f"{billions:.1f}B" if billions >= 1 else f"{parameters / 1e6:.2f}M"
