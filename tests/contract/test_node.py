"""What those who decide ask of a node holds for each way to reach one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llamactl.cluster.calls.service import NodeService
from llamactl.cluster.calls.socket_line import SocketLine, answering
from llamactl.cluster.certificates import Authority, Files
from llamactl.cluster.remote_node import RemoteNode
from llamactl.core.errors import ForbiddenBySettings, LaunchFailed, UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import NO_MODEL
from llamactl.core.ports.node import EngineSettings, LaunchSpec, Node, PortChoice
from llamactl.core.ports.warm_up import WarmUp
from llamactl.node import ModelAccess, NodeAgent
from llamactl.node.gate import Gate
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from support.fake_engine import ENGINE, wrapper
from support.ray_cluster import through_ray
from support.remote import reached
from support.uncached import uncached

DEADLINE_S = 60.0
_FIRST = 18_000 + 500 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = (_FIRST, _FIRST + 499)
GRACE_S = 10.0


@dataclass
class Site:
    """A node, and what is there before and after it."""

    folder: Path
    node: Node
    agent: NodeAgent

    def spec(self, generation: int = 1) -> LaunchSpec:
        command = wrapper(self.folder / "engine", sys.executable, ENGINE)
        options = InstanceOptions(backend_options={"model": "any"}, command_override=str(command))
        return LaunchSpec(
            "r", "i", "one", generation, options, EngineSettings(), PortChoice(*PORTS)
        )

    def log_text(self) -> str:
        return (self.folder / "one.log").read_text()


async def permit(options: InstanceOptions) -> None:
    if options.group == "forbidden":
        raise ForbiddenBySettings("not here", ["group"])


MODELS = ModelAccess(lambda given: given, lambda *_: NO_MODEL, permit)
Scene = Callable[[Site], Awaitable[None]]


def agent(folder: Path, gate: Gate | None = None) -> NodeAgent:
    environ = {"PATH": os.environ["PATH"]}
    return NodeAgent(folder, folder, environ, MODELS, gate=gate)


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Path, Path]]:
    with TemporaryDirectory(dir="/tmp") as folder, through_ray(Path(folder)) as sockets:
        yield sockets


@pytest.fixture(params=["local", "socket", "ray", *(f"remote {seed}" for seed in range(3))])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scene], None]:
    """Runs a scene on a node, within the deadline; nothing may be left running."""
    how = str(request.param)
    ray = request.getfixturevalue("ray") if how == "ray" else None

    async def run(scene: Scene) -> None:
        one = agent(tmp_path)
        try:
            async with asyncio.timeout(DEADLINE_S), reached(one, how, ray) as node:
                await scene(Site(tmp_path, node, one))
        finally:
            left = await one.prepared()
            for record in left:
                one.kill(record.process)
                await one.wait_exit(record.process)
            await one.close()
        assert [record.process for record in left] == []

    return lambda scene: asyncio.run(run(scene))


async def ready(site: Site, spec: LaunchSpec) -> ProcessRecord:
    record = await site.node.prepare(spec)
    await site.node.release(record.process)
    assert await site.node.until_ready(record.process, prove_key=False) is None
    return record


async def end(site: Site, record: ProcessRecord) -> ExitReport:
    await site.node.terminate(record.process, GRACE_S)
    return await site.node.wait_exit(record.process)


def test_what_is_prepared_waits_for_its_release_and_is_in_the_ledger(
    play: Callable[[Scene], None],
) -> None:
    async def scene(site: Site) -> None:
        spec = site.spec()
        record = await site.node.prepare(spec)

        assert await site.node.prepare(spec) == record
        assert [one.process for one in await site.node.prepared()] == [ProcessId("r", 1)]
        site.node.kill(record.process)
        report = await site.node.wait_exit(record.process)

        assert report.signal == signal.SIGKILL
        assert await site.node.prepared() == []
        assert site.log_text().count("\n") == 1  # the line that says what starts

    play(scene)


def test_what_is_released_serves_until_it_is_ended(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())

        assert await site.node.is_healthy(record.process, 10.0)
        usage = await site.node.measure(record.process)
        assert usage is not None
        assert usage.ram > 0
        report = await end(site, record)
        assert (report.code, report.signal) in {(0, None), (None, signal.SIGTERM)}
        assert await site.node.wait_exit(record.process) == report

    play(scene)


def test_an_end_that_was_asked_for_is_not_explained(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())

        await site.node.terminate(record.process, GRACE_S, explain=False)

        report = await site.node.wait_exit(record.process)
        assert (report.code, report.signal) in {(0, None), (None, signal.SIGTERM)}
        assert (report.log_tail, report.error_line) == ((), "")

    play(scene)


def test_what_does_not_heed_a_request_to_end_is_killed(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        file = site.folder / "deaf"
        file.write_text(
            "#!/bin/sh\ntrap '' TERM\necho up\nwhile :; do read -r x < /dev/zero; done\n"
        )
        file.chmod(0o755)
        spec = site.spec()
        spec = replace(spec, options=replace(spec.options, command_override=str(file)))
        record = await site.node.prepare(spec)
        await site.node.release(record.process)
        said = b""
        async for chunk in site.node.log("one").follow(0):
            said += chunk
            if b"up" in said.splitlines():
                break
        assert b"up" in said.splitlines()

        await site.node.terminate(record.process, 0.05)

        report = await site.node.wait_exit(record.process)
        assert report.signal == signal.SIGKILL

    play(scene)


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("/nowhere/engine", FailureClass.COMMAND_MISSING),
        ("/etc/passwd", FailureClass.COMMAND_MISSING),
    ],
)
def test_what_can_not_be_brought_up_leaves_nothing(
    play: Callable[[Scene], None], command: str, failure: FailureClass
) -> None:
    async def scene(site: Site) -> None:
        spec = site.spec()
        spec = replace(spec, options=replace(spec.options, command_override=command))

        with pytest.raises(LaunchFailed) as caught:
            await site.node.prepare(spec)

        assert caught.value.report.failure is FailureClass.COMMAND_MISSING
        assert await site.node.prepared() == []

    play(scene)


def test_what_the_settings_forbid_is_brought_up_for_their_owner_alone(
    play: Callable[[Scene], None],
) -> None:
    async def scene(site: Site) -> None:
        spec = site.spec()
        spec = replace(spec, options=replace(spec.options, group="forbidden"))

        with pytest.raises(ForbiddenBySettings):
            await site.node.permit(spec.options)
        with pytest.raises(LaunchFailed) as caught:
            await site.node.prepare(spec)

        assert caught.value.report.failure is FailureClass.FORBIDDEN
        await end(site, await ready(site, replace(spec, trusted=True)))

    play(scene)


def test_a_ledger_that_can_not_be_written_starts_nothing(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        (site.folder / "node.jsonl").mkdir()

        with pytest.raises(LaunchFailed) as caught:
            await site.node.prepare(site.spec())

        assert caught.value.report.failure is FailureClass.STORE
        (site.folder / "node.jsonl").rmdir()
        assert await site.node.prepared() == []

    play(scene)


def test_the_next_agent_adopts_what_the_ledger_names(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        begun = await ready(site, site.spec())
        successor = agent(site.folder)

        [record] = await successor.prepared()
        assert record == begun
        assert await successor.adopt(record, "one") is None
        assert await successor.adopt(record, "one") is None
        assert await successor.until_ready(record.process, prove_key=True) is None
        successor.kill(record.process)
        report = await successor.wait_exit(record.process)

        assert report.failure in (FailureClass.KILLED, FailureClass.UNKNOWN)
        assert (await site.node.wait_exit(record.process)).signal == signal.SIGKILL
        assert await successor.prepared() == []
        await successor.close()

    play(scene)


def test_what_ends_before_it_is_ready_is_not_waited_for(
    play: Callable[[Scene], None],
) -> None:
    async def scene(site: Site) -> None:
        record = await site.node.prepare(site.spec())
        waiting = asyncio.ensure_future(site.node.until_ready(record.process, prove_key=False))
        site.node.kill(record.process)

        with pytest.raises(UnknownProcess):
            await waiting
        await site.node.wait_exit(record.process)

    play(scene)


def test_what_is_gone_can_not_be_adopted(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())
        await end(site, record)
        successor = agent(site.folder)

        report = await successor.adopt(record, "one")

        assert report is not None
        assert report.unseen
        with pytest.raises(UnknownProcess):
            await successor.wait_exit(record.process)

    play(scene)


def test_only_what_is_provably_ours_is_ended(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())
        stranger = replace(record, start_time=record.start_time + 1)

        assert await site.node.end([stranger], GRACE_S) == []
        assert await site.node.is_healthy(record.process, 10.0)
        await site.node.end([record], GRACE_S)

        await site.node.wait_exit(record.process)

    play(scene)


def test_a_call_that_comes_late_starts_nothing(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        await end(site, await ready(site, site.spec(2)))

        for generation in (1, 2):
            with pytest.raises(UnknownProcess):
                await site.node.prepare(site.spec(generation))

        await end(site, await ready(site, site.spec(3)))

    play(scene)


def test_what_is_not_here_is_unknown(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        nobody, node = ProcessId("r", 7), site.agent
        for call in (
            node.release(nobody), node.terminate(nobody, 1.0), node.wait_exit(nobody),
            node.until_ready(nobody, prove_key=False), node.is_healthy(nobody, 1.0),
            node.measure(nobody), node.warm_up(nobody, WarmUp("/", b"{}"), 1.0),
        ):  # fmt: skip
            with pytest.raises(UnknownProcess):
                await call
        site.node.kill(nobody)
        await site.node.forget("nobody", "nobody")

    play(scene)


def test_two_processes_never_get_the_same_port(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        specs = [replace(site.spec(), replica_id=f"r{n}") for n in range(4)]

        records = await asyncio.gather(*(site.node.prepare(spec) for spec in specs))

        assert len({record.port for record in records}) == len(specs)
        for record in records:
            site.node.kill(record.process)
            await site.node.wait_exit(record.process)

    play(scene)


def scripted(*steps: object) -> WarmUp:
    return WarmUp("/v1/completions", json.dumps({"script": steps}).encode())


def test_it_is_warmed_up_once_and_what_comes_of_it_is_reported(
    play: Callable[[Scene], None],
) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())
        usage = '{"usage": {"prompt_tokens": 7, "completion_tokens": 2}}'
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(usage)}\r\n\r\n"

        report = await site.node.warm_up(record.process, scripted(["send", head + usage]), 30.0)
        again = await site.node.warm_up(record.process, scripted(["die"]), 30.0)

        assert (report.status, report.prompt_tokens, report.tokens) == (200, 7, 2)
        assert (report.error, again) == ("", report)
        await end(site, record)

    play(scene)


@pytest.mark.parametrize("how", ["refused", "late", "dead"])
def test_a_warm_up_that_fails_is_said_why(play: Callable[[Scene], None], how: str) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())
        said = json.dumps({"error": {"message": f"no {record.key} " + "x" * 999}})
        head = f"HTTP/1.1 400 No\r\nContent-Length: {len(said)}\r\n\r\n"
        steps: dict[str, list[object]] = {
            "refused": ["send", head + said], "late": ["until", "ever"], "dead": ["die"],
        }  # fmt: skip
        seconds = 0.1 if how == "late" else 30.0

        report = await site.node.warm_up(record.process, scripted(steps[how]), seconds)

        assert report.status == (400 if how == "refused" else 0)
        assert report.error.startswith(
            "no ****"
            if how == "refused"
            else "it did not answer"
            if how == "late"
            else "the engine did not answer"
        )
        assert len(report.error) <= 300 and record.key not in report.error
        if how == "dead":
            await site.node.wait_exit(record.process)
        else:
            await end(site, record)

    play(scene)


@pytest.mark.parametrize("how", ["ended", "left"])
def test_a_warm_up_is_called_off(play: Callable[[Scene], None], how: str) -> None:
    async def scene(site: Site) -> None:
        record = await ready(site, site.spec())
        sent = asyncio.ensure_future(
            site.node.warm_up(record.process, scripted(["until", "ever"]), 1000.0)
        )
        if how == "left":
            await asyncio.wait([sent], timeout=0.05)
            sent.cancel()
        await end(site, record)
        await asyncio.wait([sent])

        assert sent.cancelled() if how == "left" else True
        if how == "ended" and (failed := sent.exception()) is not None:  # it came too late
            assert isinstance(failed, UnknownProcess)

    play(scene)


def test_what_it_serves_is_told_by_its_engine(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        spec = site.spec()
        record = await ready(site, spec)

        command = await site.node.command_of(spec)
        offer = await site.node.offer(spec.options, spec.engine, record.process)

        assert command[0].endswith("engine")
        assert not offer.several
        assert [*await site.node.numbers(record.process)] == [""]  # of its only model
        await end(site, record)
        with pytest.raises(UnknownProcess):
            await site.node.numbers(record.process)

    play(scene)


def test_a_model_is_read_ahead_once_and_only_where_that_is_permitted(
    play: Callable[[Scene], None],
) -> None:
    async def scene(site: Site) -> None:
        spec = site.spec()
        model = {"model": str(uncached(site.folder / "model.gguf", 20 << 20))}
        spec = replace(spec, options=replace(spec.options, backend_options=model))
        forbidden = replace(spec, options=replace(spec.options, group="forbidden"))
        missing = replace(spec, options=replace(spec.options, backend_options={"model": "/none"}))

        async def read(spec: LaunchSpec) -> list[int]:
            return [size async for size in site.node.read_ahead(spec, 1e12)]

        assert (await read(forbidden), await read(missing)) == ([], [])
        read_of_it = (await read(spec))[-1]
        # in pieces of 4 MiB, some of which the kernel may have read itself meanwhile
        assert read_of_it in range(8 << 20, 21 << 20, 4 << 20)
        await asyncio.to_thread(
            Path(model["model"]).read_bytes
        )  # of the last piece, no more than a byte was waited for
        assert await read(spec) == []

    play(scene)


def test_a_forgotten_instance_has_no_log(play: Callable[[Scene], None]) -> None:
    async def scene(site: Site) -> None:
        await end(site, await ready(site, site.spec()))
        assert (site.folder / "one.log").exists()

        await site.node.forget("r", "one")

        assert not (site.folder / "one.log").exists()
        with pytest.raises(UnknownProcess):
            await site.node.wait_exit(ProcessId("r", 1))

    play(scene)


def test_starts_that_are_prepared_at_once_have_ports_of_their_own(tmp_path: Path) -> None:
    """However long each of them waits, for what its engine says of its options."""

    async def run() -> None:
        both = asyncio.Barrier(2)

        async def known(_: InstanceOptions) -> Vocabulary:
            await both.wait()
            return UNREAD

        one = agent(tmp_path)
        one._models = replace(MODELS, known=known)
        spec = Site(tmp_path, one, one).spec()
        other = replace(spec, replica_id="r2", instance_id="i2", name="two")
        records: list[ProcessRecord] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                records += await asyncio.gather(one.prepare(spec), one.prepare(other))
                assert records[0].port != records[1].port
        finally:
            for record in records:
                one.kill(record.process)
                await one.wait_exit(record.process)
            await one.close()

    asyncio.run(run())


ELSEWHERE = "127.0.0.2"  # the node's address, as other machines reach it


def papers(folder: Path) -> Files:
    authority, files = Authority(folder / "authority"), Files(folder / "machine")
    signed = authority.sign(files.request(), "gpu1", ELSEWHERE, datetime.now(UTC))
    files.keep(signed, authority.certificate)
    return files


def test_other_machines_reach_an_engine_as_long_as_it_runs(tmp_path: Path) -> None:
    """Also one that was adopted."""
    files = papers(tmp_path)

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection(ELSEWHERE, port, ssl=files.client())
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            return await reader.readline()
        finally:
            writer.close()

    async def run() -> None:
        gate = Gate(ELSEWHERE, files.server())
        first = agent(tmp_path, gate)
        assert first.address == ELSEWHERE
        site = Site(tmp_path, first, first)
        record = await ready(site, site.spec())
        assert b" 200 " in await ask(record.port)
        await first.close()
        await gate.close_all()
        with pytest.raises(ConnectionRefusedError):
            await ask(record.port)

        gate = Gate(ELSEWHERE, files.server())
        again = agent(tmp_path, gate)
        assert await again.adopt(record, "one") is None
        assert b" 200 " in await ask(record.port)
        await end(Site(tmp_path, again, again), record)
        with pytest.raises(ConnectionRefusedError):
            await ask(record.port)
        await again.close()
        await gate.close_all()

    asyncio.run(run())


def test_a_port_that_is_taken_at_the_node_s_address_is_not_chosen(tmp_path: Path) -> None:
    files = papers(tmp_path)

    async def run() -> None:
        gate = Gate(ELSEWHERE, files.server())
        one = agent(tmp_path, gate)
        site = Site(tmp_path, one, one)
        with socket.create_server((ELSEWHERE, PORTS[0])):
            record = await one.prepare(site.spec())
            assert record.port > PORTS[0]
            one.kill(record.process)
            await one.wait_exit(record.process)
            fixed = replace(site.spec(2), ports=PortChoice(*PORTS, fixed=PORTS[0]))
            with pytest.raises(LaunchFailed) as failed:
                await one.prepare(fixed)
        assert failed.value.report.failure is FailureClass.PORT_TAKEN
        assert await one.prepared() == []
        await one.close()
        await gate.close_all()

    asyncio.run(run())


@pytest.mark.parametrize("lives", [True, False], ids=["it lives", "it died meanwhile"])
def test_a_node_that_was_started_again_adopts_what_it_is_asked_about(
    tmp_path: Path, *, lives: bool
) -> None:
    async def run(folder: Path) -> None:
        line = SocketLine(folder / "node.sock")
        node = RemoteNode("gpu1", "127.0.0.1", line)
        first = agent(tmp_path)
        async with answering(folder / "node.sock", NodeService(first).answer):
            site = Site(tmp_path, node, first)
            record = await ready(site, site.spec())
            waiting = asyncio.create_task(node.wait_exit(record.process))
            await node.is_healthy(record.process, 10.0)
        await first.close()
        if not lives:
            os.killpg(record.pid, signal.SIGKILL)

        again = agent(tmp_path)
        async with answering(folder / "node.sock", NodeService(again).answer):
            if lives:
                assert await node.is_healthy(record.process, 10.0)
                assert not waiting.done()
                node.kill(record.process)
            report = await waiting
            assert report.signal == signal.SIGKILL or report.unseen
            with pytest.raises(UnknownProcess):
                await node.is_healthy(record.process, 10.0)
        await node.calling.close()
        await line.close()
        await again.close()

    with TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(run(Path(folder)), DEADLINE_S))
