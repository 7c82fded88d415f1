"""What is saved, restored and refused of contexts is counted, by instance."""

from __future__ import annotations

from llamactl.observe import ContextMeter
from support.control_path import ControlPath


async def stop(there: ControlPath) -> None:
    await there.instances.stop("one", wait=True, force=False)


async def start(there: ControlPath) -> None:
    await there.instances.start("one", wait=True, evict=False)


def counts(meter: ContextMeter) -> dict[str, float]:
    """Those that are not 0."""
    return {name: n for name in ContextMeter.__slots__ if (n := getattr(meter, name))}


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
    there.leases.used_by(one, "anna")
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
