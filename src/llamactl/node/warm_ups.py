"""Sends an engine the request that warms it up: once, however often that is asked for."""

from __future__ import annotations

import asyncio
import http
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial

from llamactl.backends.shared.answers import object_of
from llamactl.core.events import ProcessId
from llamactl.core.ports.warm_up import WarmUp, WarmUpReport
from llamactl.core.secrets.masking import scrubbed, secrets_of
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine.scrape import Call
from llamactl.node.own_thread import in_own_thread
from llamactl.node.process.ports import LOOPBACK

_MOST_SAID = 300  # characters of what an engine answers


@dataclass(frozen=True, slots=True)
class _Sent:
    call: Call
    task: asyncio.Task[WarmUpReport]


class WarmUps:
    """One per node. Its requests may take long, so each has a thread of its own."""

    def __init__(self) -> None:
        self._sent: dict[ProcessId, _Sent] = {}

    def __repr__(self) -> str:
        return f"<WarmUps of {len(self._sent)} processes>"

    async def send(self, one: EngineProcess, request: WarmUp, seconds: float) -> WarmUpReport:
        """As `Node.warm_up`."""
        process = one.record.process
        sent = self._sent.get(process)
        if sent is None:
            self._forget_earlier(process)
            call = Call((LOOPBACK, one.record.port), seconds)
            task = asyncio.create_task(_send(one, call, request, seconds))
            sent = self._sent[process] = _Sent(call, task)
        try:
            return await asyncio.shield(sent.task)
        except asyncio.CancelledError:
            sent.call.hang_up()
            self._sent.pop(process, None)  # it may be asked for again
            raise

    def call_off(self, process: ProcessId) -> None:
        """It is about to end; nothing, if none is under way."""
        if (sent := self._sent.get(process)) is not None:
            sent.call.hang_up()

    def _forget_earlier(self, process: ProcessId) -> None:
        for other in [p for p in self._sent if p.replica_id == process.replica_id]:
            if other.generation < process.generation:
                del self._sent[other]

    def forget(self, replica_id: str) -> None:
        self._sent = {p: s for p, s in self._sent.items() if p.replica_id != replica_id}

    async def close(self) -> None:
        for sent in self._sent.values():
            sent.call.hang_up()
        await asyncio.gather(*(sent.task for sent in self._sent.values()), return_exceptions=True)


async def _send(one: EngineProcess, call: Call, request: WarmUp, seconds: float) -> WarmUpReport:
    began = time.monotonic()
    status, text, failed = 0, "", ""
    try:
        async with asyncio.timeout(seconds):
            status, text = await in_own_thread(
                partial(call.ask, one.key, "POST", request.path, request.body)
            )
    except TimeoutError:
        failed = f"it did not answer within {seconds:g} s (instances.warm_up_timeout)"
    except OSError as exc:
        failed = f"the engine did not answer: {exc.strerror or exc}"
    finally:
        call.hang_up()
    said = object_of(text)
    if not failed and status != http.HTTPStatus.OK:
        given = {"options": asdict(one.record.options), "body": object_of(request.body.decode())}
        known = one.secrets | secrets_of(given) | {one.record.key}
        failed = scrubbed(_message(said) or text or f"status {status}", known)[:_MOST_SAID]
    prompt, generated = _tokens(said)
    took = round(time.monotonic() - began, 3)
    return WarmUpReport(took, status, prompt, generated, failed)


def _message(said: Mapping[str, object]) -> str:
    error = said.get("error", said.get("detail"))
    message = error.get("message") if isinstance(error, Mapping) else error
    return message if isinstance(message, str) else ""


def _tokens(said: Mapping[str, object]) -> tuple[int, int]:
    """Of the prompt, and generated, by the names of OpenAI's API and of Anthropic's."""
    usage = object_of(said.get("usage"))
    names = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    prompt, generated = (next((usage[n] for n in pair if n in usage), 0) for pair in names)
    return _count(prompt), _count(generated)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
