"""What is told of contexts: how many were saved, restored and refused, and why none can be kept."""

from __future__ import annotations

import time

import pytest

from llamactl.backends import backend_of
from llamactl.backends.contexts import sort_of
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.context_use import SentRequest
from llamactl.observe import ContextMeter
from llamactl.policy.context_reuse import UNUSED
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary
from support.control_path import ControlPath, settle
from support.settings import settings

ABLE = Vocabulary([EngineOption("slot_save_path", ("--slot-save-path",), "path", (), "", "", "")])
UNABLE = Vocabulary([EngineOption("model", ("--model",), "path", (), "", "", "")])


async def stop(there: ControlPath) -> None:
    await there.instances.stop("one", wait=True, force=False)


async def start(there: ControlPath) -> None:
    await there.instances.start("one", wait=True, evict=False)


def counts(meter: ContextMeter) -> dict[str, float]:
    """Those that are not 0."""
    values = {name: getattr(meter, name) for name in dir(meter) if not name.startswith("_")}
    return {name: n for name, n in values.items() if isinstance(n, int | float) and n}


async def test_what_is_saved_and_restored_is_counted_with_its_tokens_and_seconds() -> None:
    there = ControlPath()
    there.node.keeps_contexts = True
    one = (await there.create("one")).instance.id
    for _ in range(2):
        await stop(there)
        await start(there)

    assert counts(there.replicas.contexts.meters.of(one)) == {
        "saved": 2, "tokens_saved": 1000, "save_seconds": 0.2,
        "restored": 2, "tokens_restored": 1000, "restore_seconds": 0.2,
    }  # fmt: skip
    assert counts(there.replicas.contexts.meters.of("another")) == {}


async def test_what_is_refused_or_not_saved_is_counted() -> None:
    there = ControlPath()
    there.node.keeps_contexts = True
    one = (await there.create("one")).instance.id
    await stop(there)
    there.node.refusing = "the model changed since it was saved"
    await start(there)
    there.leases.contexts.used_by(one, "anna")
    there.replicas.contexts.revoked("anna")
    await stop(there)

    meter = there.replicas.contexts.meters.of(one)
    assert (meter.saved, meter.restored, meter.refused, meter.not_saved) == (1, 0, 1, 1)


async def test_those_of_deleted_instances_are_forgotten_once_there_are_many() -> None:
    meters = ControlPath().replicas.contexts.meters
    for n in range(300):
        meters.of(str(n)).saved = 1
    meters.keep({"7"})

    assert (meters.of("7").saved, meters.of("8").saved) == (1, 0)


@pytest.mark.parametrize(
    ("keep", "default", "known", "has_obstacle"),
    [
        ("", "auto", UNABLE, True),
        ("", "off", UNABLE, False),
        ("auto", "off", UNABLE, True),
        ("on", "off", UNABLE, True),
        ("off", "auto", UNABLE, False),
        ("on", "auto", ABLE, False),
        ("on", "auto", None, False),  # nobody has asked it yet
        ("on", "auto", UNREAD, True),  # it does not answer
    ],
)
async def test_an_instance_has_an_obstacle_only_where_its_contexts_are_to_be_kept(
    keep: str, default: str, known: Vocabulary | None, *, has_obstacle: bool
) -> None:
    there = ControlPath(settings("instances", default_keep_context=default))
    there.replicas.seen = lambda _: known
    managed = await there.create("one")
    if keep:
        managed = await there.definitions.update("one", {"keep_context": keep}, wait=True)

    assert managed.replica.runner.now.state == "ready"
    assert bool(managed.replica.context.context_obstacle(managed.instance)) is has_obstacle


async def test_a_plan_asks_the_engine_that_nobody_has_asked() -> None:
    there, asked = ControlPath(), list[str]()

    async def ask(options: InstanceOptions) -> Vocabulary:
        asked.append(options.backend_type)
        there.replicas.seen = lambda _: UNABLE
        return UNABLE

    managed = await there.create("one", start=False)
    assert managed.replica.context.context_obstacle(managed.instance) == ""
    there.replicas.known = ask
    for _ in range(2):
        managed, _plan = await there.instances.plan("one", request=True, evict=False)

    assert "--slot-save-path" in managed.replica.context.context_obstacle(managed.instance)
    assert len(asked) == 1


async def test_that_contexts_are_not_used_is_an_obstacle_with_its_reason_and_cure() -> None:
    there = ControlPath()
    there.node.keeps_contexts = True
    managed = await there.create("one")
    one = managed.instance.id
    answer = b'"timings":{"prompt_n":500,"cache_n":0}'
    request = SentRequest(time.time(), [b'{"prompt": "a"}'], answer)
    there.leases.contexts.sent(one, request)
    options = managed.instance.options
    contexts = backend_of(options.backend_type).contexts
    assert contexts is not None
    await stop(there)
    await start(there)
    there.node.unused_sorts = frozenset({sort_of(contexts, options.backend_options, "")})
    assert managed.replica.context.context_obstacle(managed.instance) == ""

    there.leases.contexts.proofs[one].sent()
    there.leases.contexts.proofs[one].heard(510, 0, request)
    await settle()
    assert managed.replica.context.context_obstacle(managed.instance) == UNUSED
    await there.event_log.settle()
    assert UNUSED in [row.cause for row in there.store.event_log if row.event == "ContextNotUsed"]

    managed = await there.definitions.update("one", {"keep_context": "on"}, wait=True)
    assert managed.replica.context.context_obstacle(managed.instance) == ""
