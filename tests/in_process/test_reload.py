"""Settings and declared instances are read again: what differs is changed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llamactl.config import Settings
from llamactl.control.upkeep.stale import running, stale
from llamactl.core.errors import InvalidConfig, StoreUnavailable
from support.control_path import ControlPath, settle
from support.settings import settings, with_args


def declare(folder: Path, name: str, **body: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"model": "/m.gguf", **body}))


async def started(before: Settings) -> ControlPath:
    control = ControlPath(before)
    await control.reload.check()
    await control.reload.declare()
    return control


async def test_what_is_live_counts_at_once_and_what_is_fixed_is_named() -> None:
    control = await started(settings("instances", max_running_instances=1))
    await control.create("one")
    await control.create("two", start=False)
    server = control.settings.server.model_copy(update={"max_connections": 7})
    control.on_file = settings("instances", max_running_instances=2).model_copy(
        update={"server": server}
    )
    plan = await control.reload.plan()
    assert plan.settings == ("instances.max_running_instances",)
    assert plan.needs_restart == ("server.max_connections",)
    assert control.settings.instances.max_running_instances == 1, "a plan changes nothing"

    assert await control.reload.run() == plan
    await control.instances.start("two", wait=True, evict=False)
    assert control.settings.server.max_connections != 7
    assert (control.state("one"), control.state("two")) == ("ready", "ready")


async def test_what_runs_with_another_command_is_restarted_and_nothing_else() -> None:
    control = await started(Settings())
    await control.create("runs")
    await control.create("off", start=False)
    pid = control.replica("runs").pid
    control.on_file = with_args(control.settings, "--seed", "7")
    plan = await control.reload.plan()
    assert plan.restart == ("runs",)
    assert stale(running(control.instances.all()), control.settings) == ()

    await control.reload.run()
    await settle()
    assert control.state("runs") == "ready"
    assert control.replica("runs").pid != pid
    assert control.state("off") == "stopped"
    assert (await control.reload.run()).restart == ()


async def test_declared_instances_come_change_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "declared"
    declare(folder, "changes", ctx_size=256)
    declare(folder, "goes")
    control = await started(settings("instances", configs_dir=folder))
    await control.create("mine", start=False)
    assert [m.instance.name for m in control.instances.all()] == ["changes", "goes", "mine"]
    await control.instances.start("changes", wait=True, evict=False)
    pid = control.replica("changes").pid

    declare(folder, "changes", ctx_size=512)
    declare(folder, "new")
    (folder / "goes.yaml").unlink()
    done = await control.reload.run()
    await settle()

    assert dict(done.failed) == {}
    assert [m.instance.name for m in control.instances.all()] == ["changes", "mine", "new"]
    assert control.state("changes") == "ready"
    assert control.replica("changes").pid != pid
    options = control.instances.get("changes").instance.options.backend_options
    assert options["ctx_size"] == 512


@pytest.mark.parametrize(
    "bad", ["no mapping", {"aliases": "x"}, {"max_restarts": "many"}, {"backend_type": "none"}]
)
async def test_one_bad_declaration_changes_nothing(tmp_path: Path, bad: object) -> None:
    folder = tmp_path / "declared"
    declare(folder, "stays")
    control = await started(settings("instances", configs_dir=folder))
    declare(folder, "new")
    (folder / "stays.yaml").unlink()
    (folder / "bad.yaml").write_text(yaml.safe_dump(bad))
    with pytest.raises(InvalidConfig, match="bad"):
        await control.reload.run()
    assert [m.instance.name for m in control.instances.all()] == ["stays"]


async def test_a_folder_that_is_gone_deletes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "declared"
    declare(folder, "stays")
    control = await started(settings("instances", configs_dir=folder))
    (folder / "stays.yaml").unlink()
    folder.rmdir()
    with pytest.raises(InvalidConfig):
        await control.reload.run()
    assert [m.instance.name for m in control.instances.all()] == ["stays"]


async def test_what_can_not_be_done_is_told_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "declared"
    declare(folder, "taken")
    declare(folder, "new")
    control = ControlPath(settings("instances", configs_dir=folder))
    await control.create("taken", start=False, ctx_size=1)
    await control.reload.declare()
    done = await control.reload.run()

    assert list(done.failed) == ["taken"]
    assert [m.instance.name for m in control.instances.all()] == ["new", "taken"]


async def test_nothing_is_reloaded_while_the_store_is_away() -> None:
    control = await started(Settings())
    control.reload.waits_for_store = True
    with pytest.raises(StoreUnavailable):
        await control.reload.run()
