"""One holder of the settings in force, and which instances differ from them."""

from __future__ import annotations

from llamactl.backends import LLAMA_CPP
from llamactl.backends.spec_hash import spec_hash
from llamactl.config import Settings, SettingsHolder
from llamactl.control.upkeep.stale import Running, stale
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.node import EngineSettings
from support.settings import settings


def test_a_change_is_told_once_and_seen_by_all() -> None:
    holder = SettingsHolder(settings("instances", max_instances=1))
    told: list[Settings] = []
    holder.subscribe(told.append)
    holder.subscribe(lambda new: told.append(holder.current))
    new = settings("instances", max_instances=2)

    holder.replace(new, {("instances", "max_instances"): "file"})
    holder.replace(settings("instances", max_instances=2), {})  # the same, from elsewhere

    assert told == [new, new] and holder.current is not new
    assert holder.current == new and holder.sources == {}


def test_what_follows_from_the_settings_is_worked_out_once_for_each_of_them() -> None:
    holder = SettingsHolder(settings("instances", max_instances=1))
    asked = []

    def double(now: Settings) -> int:
        asked.append(now)
        return now.instances.max_instances * 2

    view = holder.derived(double)
    assert (view(), view()) == (2, 2)
    holder.replace(settings("instances", max_instances=4), {})

    assert (view(), view(), len(asked)) == (8, 8, 2)


def test_an_instance_is_stale_if_its_command_would_be_another() -> None:
    def engine(**given: object) -> Settings:
        return Settings.model_validate({"backends": {"llama-cpp": given}})

    def began(given: EngineSettings, **options: object) -> Running:
        own = InstanceOptions(**options)  # type: ignore[arg-type]
        return Running("one", own, spec_hash(given, own))

    before = engine(args="--seed 7", environment={"A": "1"})
    one = began(before.backends.engine(LLAMA_CPP.kind))

    assert stale([one], before) == ()
    assert stale([one], engine(args="--seed 8", environment={"A": "1"})) == ("one",)
    assert stale([one], engine(args="--seed 7", environment={"A": "2"})) == ("one",)
    assert stale([one], engine(args="--seed 7", environment={"A": "1"},
                               response_headers={"X": "1"})) == ()  # fmt: skip
    own = began(before.backends.engine(LLAMA_CPP.kind), command_override="/engine")
    other = engine(command="other", args="--seed 7", environment={"A": "1"})
    assert stale([own, one], other) == ("one",)
    changed = Running("one", InstanceOptions(backend_options={"ctx_size": 1}), one.spec_hash)
    assert stale([changed], before) == ("one",)
    of_another_version = Running("one", InstanceOptions(), "0:abc")
    assert stale([of_another_version], before) == (), "of which nothing is known"
