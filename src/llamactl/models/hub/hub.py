"""What the hub has. It is asked by a process of its own, which huggingface_hub is loaded in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from llamactl.core.errors import HubUnreachable
from llamactl.models.hub.fit import Room
from llamactl.models.naming import read_reference

_LONGEST_S = 30.0  # the process limits how long the hub takes; this is for one that hangs itself


class Hub:
    def __init__(self, environ: Mapping[str, str], room: Callable[[], Room]) -> None:
        """`room`: of this machine."""
        self.room = room
        self._environ = {k: v for k, v in environ.items() if not k.startswith("LLAMACTL_")}

    async def search(self, query: str) -> list[dict[str, Any]]:
        """Repositories with GGUF files, the most fetched first. Raises HubUnreachable."""
        found: list[dict[str, Any]] = (await self._ask({"query": query}))["found"]
        return found

    async def repository(self, repo: str) -> dict[str, Any]:
        """The models of one. Raises InvalidRequest, HubUnreachable."""
        return await self._ask({"repo": read_reference(repo).repo})

    async def _ask(self, spec: Mapping[str, str]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "llamactl.models.hub.search",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=self._environ,
        )  # fmt: skip
        try:
            asked = process.communicate(orjson.dumps(spec) + b"\n")
            said = orjson.loads((await asyncio.wait_for(asked, _LONGEST_S))[0])
        except (TimeoutError, orjson.JSONDecodeError) as exc:
            raise HubUnreachable(
                "the hub did not respond; check HF_ENDPOINT and the network"
            ) from exc
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if "error" in said:
            kind = {"kind": said["kind"]} if "kind" in said else None
            raise HubUnreachable(str(said["error"]), details=kind)
        return dict(said)
