"""Instances that need a node with certain labels: where they run, and what they wait for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llamactl.app.node_application import NodeApplication
from llamactl.cluster.calls.messages import Answered, Operation, answer, encode
from llamactl.cluster.membership import MachineFacts, Membership
from llamactl.config import Loaded, Settings
from llamactl.core.errors import Conflict, InvalidRequest, NodeAway, NoMatchingNode
from llamactl.core.keys import GUEST
from support.control_clusters import Cluster
from support.control_path import ControlPath, settle
from support.settings import settings

H200 = {"gpu": "h200"}


def labelled(**nodes: dict[str, str] | None) -> Cluster:
    """With these nodes beside the server's own, which has no labels."""
    one = Cluster(len(nodes))
    one.labels |= nodes
    return one


async def test_it_runs_where_all_its_labels_are() -> None:
    one = labelled(two=H200, three={**H200, "room": "2"})

    assert await one.create("a", node_labels={**H200, "room": 2}) == "three"
    assert one.there.registry.get("a").instance.options.node_labels == {**H200, "room": "2"}


async def test_it_stays_in_its_queue_and_goes_nowhere_else() -> None:
    one = labelled(two=H200)
    await one.create("full", 4, nodes=["two"])
    await one.there.definitions.update("full", {"pinned": True}, wait=False)
    one.needs("a", 2)
    await one.there.create("a", start=False, node_labels=H200)
    _, plan = await one.there.instances.plan("a", request=False, evict=False)

    assert (plan.action, plan.node) == ("refuse", "")
    assert plan.nodes == {"two": "", "local": "has no label gpu, needs gpu=h200"}


async def test_plan_and_the_error_say_which_label_is_missing_on_which_node() -> None:
    one = labelled(two={"gpu": "a100"})
    with pytest.raises(NoMatchingNode, match="node two: has gpu=a100, needs gpu=h200") as error:
        await one.create("a", node_labels=H200)
    assert "node local: has no label gpu, needs gpu=h200" in error.value.message
    await one.there.create("a", start=False, node_labels=H200)
    _, plan = await one.there.instances.plan("a", request=True, evict=False)

    assert (plan.action, plan.reason) == ("refuse", error.value.message)
    assert plan.nodes == {
        "local": "has no label gpu, needs gpu=h200", "two": "has gpu=a100, needs gpu=h200",
    }  # fmt: skip
    with pytest.raises(NoMatchingNode):
        await one.there.on_demand.lease("a", GUEST)


async def test_a_node_that_it_names_must_have_its_labels_too() -> None:
    one = labelled(two={"gpu": "a100"}, three=H200)
    with pytest.raises(NoMatchingNode, match="node two has gpu=a100, needs gpu=h200"):
        await one.create("a", nodes=["two"], node_labels=H200)

    assert await one.create("b", nodes=["two", "three"], node_labels=H200) == "three"


async def test_what_nobody_has_seen_yet_may_have_the_labels() -> None:
    one = labelled(two=None)
    one.reaches["two"].set(up=False)
    await settle()
    with pytest.raises(NodeAway, match="'two' is not there") as error:
        await one.create("a", node_labels=H200)

    assert not isinstance(error.value, NoMatchingNode)


async def test_other_labels_count_for_later_starts() -> None:
    one = labelled(two=H200, three={})
    await one.create("a", node_labels=H200)
    one.labels |= {"two": {}, "three": H200}
    await settle()
    assert one.there.state("a") == "ready"
    with pytest.raises(NoMatchingNode):
        await one.there.instances.restart("a", wait=True, evict=False, force=True)
    assert one.there.state("a") == "ready"
    await one.there.instances.stop("a", wait=True, force=True)
    await one.there.instances.start("a", wait=True, evict=False)

    assert one.node_of("a") == "three"


async def test_what_runs_can_not_be_given_labels_that_its_node_has_not() -> None:
    one = labelled(two=H200)
    await one.create("a", nodes=["main"])
    with pytest.raises(Conflict, match="stop it first"):
        await one.there.definitions.update("a", {"nodes": [], "node_labels": H200}, wait=False)
    await one.there.instances.stop("a", wait=True, force=True)
    await one.there.definitions.update("a", {"nodes": [], "node_labels": H200}, wait=False)
    await one.there.instances.start("a", wait=True, evict=False)

    assert one.node_of("a") == "two"


async def test_what_leaves_a_drained_node_goes_where_its_labels_are() -> None:
    one = labelled(two=H200, three=H200)
    await one.create("a", node_labels=H200, nodes=[])
    left = next(name for name in ("two", "three") if name != one.node_of("a"))
    await one.drains.drain(one.there.nodes.named(one.node_of("a")))
    await one.there.until("a", "ready")

    assert one.node_of("a") == left


async def test_what_waits_for_its_labels_starts_when_such_a_node_comes() -> None:
    one = labelled(two=H200, three={})
    await one.create("a", node_labels=H200)
    one.reaches["two"].set(up=False)
    await one.there.until("a", "lost")
    await one.lost.give_up(one.there.nodes.named("two"))
    await settle()
    assert one.there.state("a") == "stopped"
    one.reaches["three"].set(up=False)
    await settle()
    one.labels["three"] = H200
    one.reaches["three"].set(up=True)
    await one.there.until("a", "ready")

    assert one.node_of("a") == "three"


async def test_without_a_cluster_this_machine_must_have_them() -> None:
    with pytest.raises(NoMatchingNode, match="has no label gpu, needs gpu=h200"):
        await ControlPath().create("a", node_labels=H200)
    there = ControlPath(labels=lambda _: H200)
    await there.create("a", node_labels=H200)

    assert there.state("a") == "ready"


@pytest.mark.parametrize(
    "labels", [{"gpu": "h 200"}, {"-gpu": "h200"}, {"gpu": True}, {"gpu": "x" * 64}, ["gpu"]]
)
async def test_labels_that_are_none_are_refused(labels: object) -> None:
    with pytest.raises(InvalidRequest, match="node_labels"):
        await ControlPath().create("a", start=False, node_labels=labels)


async def test_what_sleeps_where_other_labels_are_now_wakes_there() -> None:
    labels = dict(H200)
    there = ControlPath(settings("instances", health_interval=0.001), labels=lambda _: labels)
    await there.definitions.create(
        "a",
        {"backend_type": "vllm", "backend_options": {"model": "m"}, "idle_action": "sleep",
         "idle_timeout": 0.0001, "node_labels": H200},
        start=True, wait=True, evict=False,
    )  # fmt: skip
    await there.until("a", "asleep")
    pids = there.node.alive
    labels.clear()
    (await there.on_demand.lease("a", GUEST)).release()

    assert there.node.alive == pids


async def test_a_node_of_an_older_version_has_no_labels() -> None:
    facts = Operation[[], MachineFacts](Membership.facts)
    old = facts.value(Answered(value={"version": "0.1", "ram": 1, "gpus": {}}))
    new = MachineFacts("0.2", labels=H200)

    assert old.labels == {}
    sent = answer(encode(facts.answered(new)))
    assert isinstance(sent, Answered)
    assert facts.value(sent) == new


def test_a_machine_s_settings_have_labels_and_node_join_overrides_them() -> None:
    held = Settings.model_validate({"local_node_labels": {"gpu": "a100", "room": 2}})
    assert held.local_node_labels == {"gpu": "a100", "room": "2"}
    node = NodeApplication(Loaded(held, None, ()), {}, labels=H200)

    assert node.labels == {"gpu": "h200", "room": "2"}
    with pytest.raises(ValidationError, match="'local_node_labels' has an invalid value for 'gpu'"):
        Settings.model_validate({"local_node_labels": {"gpu": True}})
