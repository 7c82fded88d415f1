"""A node's calls as messages: what crosses, what is refused, and what is kept of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import orjson
import pytest

from llamactl.cluster.calls import messages
from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.calls.messages import (
    Answered,
    Call,
    CalledOff,
    Ended,
    Next,
    Operation,
    Refused,
    Waiting,
)
from llamactl.cluster.calls.refusals import error_of, refused
from llamactl.cluster.calls.service import NodeService
from llamactl.cluster.membership import Membership
from llamactl.cluster.remote_node import RemoteLog, RemoteNode
from llamactl.core import errors
from llamactl.core.errors import (
    EngineMissing,
    ForbiddenBySettings,
    LaunchFailed,
    LlamactlError,
    UnknownProcess,
)
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Container, InstanceOptions
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import (
    EngineSettings,
    Image,
    LaunchSpec,
    Node,
    PortChoice,
    PullProgress,
)

ROOT = Path(__file__).parents[2]
OPTIONS = InstanceOptions(
    backend_type="vllm",
    backend_options={"a": 1, "b": 1.0, "c": True, "d": "1", "e": ["x", 2, 0.5, False]},
    environment={"HF_TOKEN": "secret"},
    container=Container("image", args=("--a", "b"), mounts=("/x",)),
    default_params={"deep": {"list": [1, 2.5, None]}, "large": 2**70},
)
SPEC = LaunchSpec(
    "r", "i", "one", 3, OPTIONS, EngineSettings("vllm", ("serve",), {"A": "1"}, command_given=True),
    PortChoice(1, 2, taken=frozenset({1})), sleep_s=0.5,
)  # fmt: skip


class Pulls:
    """A node that only pulls, one step at a time, and forgets nothing."""

    def __init__(self) -> None:
        self.steps = asyncio.Queue[int | Exception]()
        self.forgotten: list[str] = []
        self.closed = asyncio.Event()
        self.asked = asyncio.Event()  # for a step
        self.waits = asyncio.Event()
        self.left = asyncio.Event()

    async def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        try:
            while True:
                self.asked.set()
                step = await self.steps.get()
                if isinstance(step, Exception):
                    raise step
                yield PullProgress(step, 100)
        finally:
            self.closed.set()

    async def forget(self, replica_id: str, name: str) -> None:
        self.forgotten.append(name)
        try:
            await self.waits.wait()
        finally:
            self.left.set()


def service(node: Pulls, **limits: float) -> NodeService:
    return NodeService(cast(Node, node), None, **limits)


async def said(to: NodeService, message: messages.Asked) -> messages.Answer:
    return messages.answer(await to.answer(messages.encode(message)))


def of(operation: str, one: str = "1", **given: Any) -> Call:
    return Call(id=one, operation=operation, given=given)


PULL = of("pull", image={"engine": "docker", "reference": "x"})
FORGET = of("forget", replica_id="r", name="one")


def operations(protocol: type) -> list[Any]:
    return [m for n, m in vars(protocol).items() if inspect.isfunction(m) and n[0] != "_"]


@pytest.mark.parametrize(
    ("protocol", "remote"), [(Node, RemoteNode), (LogFile, RemoteLog)], ids=["node", "log"]
)
def test_every_call_of_a_node_is_one_of_values(protocol: type, remote: type) -> None:
    for method in operations(protocol):
        if method.__name__ != "log":
            assert Operation[Any, Any](method)._types
        assert hasattr(remote, method.__name__)


def test_values_arrive_as_what_they_were() -> None:
    operation = Operation[Any, Any](Node.prepare)
    sent = messages.encode(Call(id="1", operation="prepare", given=operation.given(SPEC)))
    call = messages.asked(sent)

    assert isinstance(call, Call)
    spec = operation.arguments(call.given)["spec"]
    given = spec.options.backend_options
    assert replace(spec, options=OPTIONS) == replace(SPEC, engine=spec.engine)
    assert [type(value) for value in given.values()] == [int, float, bool, str, list]
    assert [*given["e"]] == ["x", 2, 0.5, False]
    assert spec.options.default_params == OPTIONS.default_params
    assert [*spec.engine.args] == ["serve"]
    assert replace(spec.engine, args=("serve",)) == SPEC.engine


@pytest.mark.parametrize(
    "error",
    [
        UnknownProcess("it is gone"),
        LaunchFailed(ExitReport(FailureClass.PORT_TAKEN, 1, advice="b", log_tail=("x", "y"))),
        ForbiddenBySettings("not here", ["group"]),
        EngineMissing("none", details={"tried": ["a"]}, private={"path": "/x"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_what_it_was(error: LlamactlError) -> None:
    answer = messages.answer(messages.encode(refused(error)))

    assert isinstance(answer, Refused)
    arrived = error_of(answer)
    assert type(arrived) is type(error)
    assert arrived.message == error.message
    assert (arrived.details, arrived.private) == (error.details, error.private)
    for name in ("report", "fields"):
        assert getattr(arrived, name, None) == getattr(error, name, None)


@pytest.mark.parametrize("name", ["FromALaterVersion", "Mapping", "annotations", "LaunchFailed"])
def test_an_error_of_another_version_keeps_its_code(name: str) -> None:
    assert name == "FromALaterVersion" or hasattr(errors, name)
    arrived = error_of(Refused(error=name, message="m", code="later", status=418))

    assert (arrived.message, arrived.code, arrived.status) == ("m", "later", 418)


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"{", b"[]", b"null", b'{"what": "call"}', b'{"what": "next", "id": "1", "at": "x"}',
        b'{"what": "other", "id": "1"}', b'{"what":"call","id":"1","operation":"nothing"}',
        b'{"what":"call","id":"1","operation":"__init__"}',
        b'{"what":"call","id":"1","operation":"log"}',
        b'{"what":"call","id":"1","operation":"forget","given":{"replica_id":7}}',
        b'{"what":"call","id":"1","operation":"forget"}', b"\xff", b"[" * 100_000,
    ],
)  # fmt: skip
async def test_what_is_no_call_is_refused_and_nothing_is_done(sent: bytes) -> None:
    node = Pulls()

    answer = messages.answer(await service(node).answer(sent))

    assert isinstance(answer, Refused)
    assert node.forgotten == []


@pytest.mark.parametrize(
    "given", [{"spec": {"options": {"environment": {"A": "hf_secret", "B": [1]}}}}, "hf_secret"]
)
async def test_a_refusal_repeats_nothing_of_the_call(given: object) -> None:
    """There are secrets in definitions, and refusals are logged."""
    sent = {"what": "call", "id": "1", "operation": "prepare", "given": given}

    answer = messages.answer(await service(Pulls()).answer(orjson.dumps(sent)))

    assert isinstance(answer, Refused) and "secret" not in answer.message
    with pytest.raises(ValueError, match="message") as unread:
        messages.answer(b'{"what": "refused", "error": "x", "private": {"a": "hf_secret"}}')
    assert "secret" not in str(unread.value)


async def test_what_a_later_version_adds_is_ignored() -> None:
    node = Pulls()
    node.waits.set()
    sent = {**orjson.loads(messages.encode(FORGET)), "urgent": True}
    sent["given"] = {**sent["given"], "softly": True}

    assert messages.answer(await service(node).answer(orjson.dumps(sent))) == Answered()
    assert node.forgotten == ["one"]


async def test_a_call_that_comes_again_is_done_once() -> None:
    node = Pulls()
    there = service(node, patience_s=0.01)

    assert [await said(there, FORGET) for _ in range(2)] == [Waiting(), Waiting()]
    node.waits.set()
    while await said(there, FORGET) == Waiting():
        pass

    assert await said(there, FORGET) == Answered()
    assert node.forgotten == ["one"]
    assert await said(there, replace(FORGET, id="2")) == Answered()
    assert node.forgotten == ["one", "one"]


async def test_what_is_called_off_ends_and_does_not_begin() -> None:
    node = Pulls()
    there = service(node, patience_s=0.01)
    await said(there, FORGET)

    assert await said(there, CalledOff(id="1")) == Ended()
    assert await said(there, FORGET) == Ended()
    assert await said(there, CalledOff(id="2")) == Ended()
    assert await said(there, replace(FORGET, id="2")) == Ended()
    assert node.forgotten == ["one"]


async def test_an_item_may_be_asked_for_again_until_the_next_one_is() -> None:
    node = Pulls()
    there = service(node)
    assert await said(there, PULL) == Answered()
    for step in (10, 20):
        node.steps.put_nowait(step)

    first = await said(there, Next(id="1", at=0))

    assert isinstance(first, Answered)
    assert first.value == {"done": 10, "total": 100}
    assert await said(there, Next(id="1", at=0)) == first
    assert await said(there, PULL) == Answered()
    second = await said(there, Next(id="1", at=1))
    assert second == Answered(value={"done": 20, "total": 100})
    node.steps.put_nowait(UnknownProcess("gone"))
    failed = await said(there, Next(id="1", at=2))
    assert isinstance(failed, Refused) and failed.error == "UnknownProcess"
    await there.close()


@pytest.mark.parametrize("how", ["nobody asks", "called off", "closed"])
async def test_a_stream_that_nobody_wants_is_closed(how: str) -> None:
    node = Pulls()
    there = service(node, patience_s=0.01, silent_s=0.2 if how == "nobody asks" else 60.0)
    await said(there, PULL)
    await said(there, Next(id="1", at=0))  # it has begun

    if how == "called off":
        await said(there, CalledOff(id="1"))
    elif how == "closed":
        await there.close()

    async with asyncio.timeout(10.0):
        await node.closed.wait()
    gone = await said(there, Next(id="1", at=0))
    assert isinstance(gone, Refused) and "restarted" in gone.message


async def test_a_call_that_nobody_asks_about_is_given_up() -> None:
    """The head was killed, and its next one asks anew."""
    node = Pulls()
    there = service(node, patience_s=0.01, silent_s=0.2)
    await said(there, FORGET)
    async with asyncio.timeout(10.0):
        await node.left.wait()

    assert await said(there, replace(FORGET, id="2")) == Waiting()
    await there.close()
    assert node.forgotten == ["one", "one"]


async def test_a_node_that_closes_answers_nothing_rather_than_something_wrong() -> None:
    """Another one may come: neither the end of a stream, nor that it was called off."""
    node = Pulls()
    there = service(node, patience_s=10.0)
    await said(there, PULL)
    asked = [asyncio.create_task(said(there, one)) for one in
             (Next(id="1", at=0), replace(FORGET, id="2"))]  # fmt: skip
    async with asyncio.timeout(10.0):
        await node.asked.wait()

    await there.close()

    for one in asked:
        with pytest.raises(LineDown):
            await one


async def test_a_fault_of_ours_in_reading_a_call_is_answered_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an answer it would be repeated for ever."""

    def fails(*_: object) -> Any:
        raise AttributeError("on purpose")

    monkeypatch.setattr(Operation, "arguments", fails)
    there = service(Pulls())

    failed = await said(there, FORGET)

    assert isinstance(failed, Refused) and "internal error" in failed.message
    await there.close()


async def test_an_answer_that_can_not_be_sent_is_refused() -> None:
    node = Pulls()
    there = service(node)
    await said(there, PULL)
    node.steps.put_nowait(UnknownProcess("gone", details={"why": object()}))

    failed = await said(there, Next(id="1", at=0))

    assert isinstance(failed, Refused) and "internal error" in failed.message
    await there.close()


class Forgetful:
    """A line to a node whose process is started again after each answer, so often."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.asked: list[str] = []

    async def ask(self, call: bytes) -> bytes:
        asked = messages.asked(call)
        assert isinstance(asked, Call)
        self.asked.append(asked.operation)
        if asked.operation == "adopt":
            return messages.encode(Answered())
        if self.asked.count("is_healthy") <= self._times:
            return messages.encode(refused(UnknownProcess("it does not run here")))
        return messages.encode(Answered(value=True))

    async def reachable(self) -> None: ...


async def test_a_process_is_adopted_as_often_as_its_node_is_started_again() -> None:
    line = Forgetful(3)
    node = RemoteNode("two", "10.0.0.2", line)
    record = ProcessRecord(
        "r", "two", "i", 1, 7, 7, "boot", 8000, "key", "engine", ("engine",), OPTIONS, "hash", 0
    )
    await node.adopt(record, "one")

    assert await node.is_healthy(record.process, 1.0)
    assert line.asked == ["adopt", *3 * ["is_healthy", "adopt"], "is_healthy"]


def values(kind: object, seen: set[type]) -> None:
    """The dataclasses in it, into `seen`."""
    if isinstance(kind, type) and is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        for hint in get_type_hints(kind).values():
            values(hint, seen)
    for part in get_args(kind):
        values(part, seen)


async def test_nothing_that_crosses_is_compiled() -> None:
    """A compiled class can't be made from JSON: it has no `__dict__`, and forgets its types."""
    seen: set[type] = set()
    for protocol in (Node, LogFile, Membership):
        for method in vars(protocol).values():
            if inspect.isfunction(method) and not method.__name__.startswith("_"):
                for hint in get_type_hints(method).values():
                    values(hint, seen)
    modules = {one.__module__.replace(".", "/") + ".py" for one in seen}
    compiled = (ROOT / "packaging/compiled.py").read_text(encoding="utf-8")

    assert "llamactl/core/ports/contexts.py" in modules
    assert "llamactl/proxy/relay/exchange.py" in compiled
    assert [module for module in sorted(modules) if module in compiled] == []
