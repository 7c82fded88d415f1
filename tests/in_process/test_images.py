"""Starts that wait for an image to be pulled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from llamactl.core.downloads import DownloadJob, JobKind, JobState
from llamactl.core.errors import Conflict, LaunchFailed
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.ports.node import Image, PullProgress
from support.control_path import ControlPath, settle
from support.settings import settings

IMAGE = Image("docker", "registry.example/engine:1")


async def pulling(there: ControlPath, *names: str) -> DownloadJob:
    """Instances that start, and wait for one image."""
    for name in names:
        there.node.images[name] = IMAGE
        await there.create(name, start=False)
        await there.instances.start(name, wait=False, evict=False)
    await settle()
    assert {there.state(name) for name in names} == {"starting"}
    [job] = [job for job in there.downloads.jobs.all() if job.state is JobState.RUNNING]
    assert (job.kind, job.model) == (JobKind.IMAGE, IMAGE.reference)
    return job


async def test_one_download_is_for_all_who_wait_for_it_and_shows_how_far_it_is() -> None:
    there = ControlPath()
    job = await pulling(there, "one", "two")
    there.node.pulling.put_nowait(PullProgress(10, 30))
    await settle()
    now = there.downloads.jobs.get(job.id)
    assert (now.done, now.total) == (10, 30)

    there.node.pulling.put_nowait(PullProgress(30, 30))
    there.node.pulling.put_nowait(None)
    await there.until("one", "ready")
    await there.until("two", "ready")

    now = there.downloads.jobs.get(job.id)
    assert (now.state, now.done, there.node.pulls) == (JobState.DONE, 30, 1)


async def test_its_time_does_not_count_as_time_of_the_start() -> None:
    there = ControlPath(settings("instances", start_timeout=0.05))
    await pulling(there, "one")
    await asyncio.sleep(0.2)
    assert there.state("one") == "starting"

    there.node.pulling.put_nowait(None)
    await there.until("one", "ready")


async def test_a_stop_ends_the_download_unless_others_wait_for_it() -> None:
    there = ControlPath()
    job = await pulling(there, "one", "two")

    await there.instances.stop("one", wait=True, force=False)
    assert (there.state("one"), there.state("two")) == ("stopped", "starting")
    assert there.node.open_pulls == 1

    await there.instances.stop("two", wait=True, force=False)
    await settle()
    assert there.state("two") == "stopped" and there.node.open_pulls == 0
    assert there.downloads.jobs.get(job.id).state is JobState.CANCELLED
    assert not there.node.alive


async def test_a_start_after_a_stop_downloads_again() -> None:
    there = ControlPath()
    await pulling(there, "one")
    await there.instances.stop("one", wait=True, force=False)
    await there.instances.start("one", wait=False, evict=False)
    await settle()
    there.node.pulling.put_nowait(None)
    await there.until("one", "ready")
    assert there.node.pulls == 2


async def test_a_failed_download_fails_all_who_wait_for_it_with_its_reason() -> None:
    there = ControlPath()
    job = await pulling(there, "one", "two")
    report = ExitReport(FailureClass.IMAGE_MISSING, advice="pull it", error_line="no such host")
    there.node.pulling.put_nowait(LaunchFailed(report))

    await there.until("one", "failed")
    await there.until("two", "failed")

    assert there.replica("one").last_exit == there.replica("two").last_exit == report
    now = there.downloads.jobs.get(job.id)
    assert (now.state, now.error) == (JobState.FAILED, "no such host")


async def test_a_download_that_somebody_cancels_fails_the_start() -> None:
    there = ControlPath()
    job = await pulling(there, "one")
    await there.downloads.cancel(job.id)

    await there.until("one", "failed")

    last = there.replica("one").last_exit
    assert last is not None and "cancelled" in last.advice
    assert there.node.open_pulls == 0


async def test_an_image_can_not_be_paused_or_resumed() -> None:
    there = ControlPath()
    job = await pulling(there, "one")
    with pytest.raises(Conflict, match="cancel it instead"):
        await there.downloads.pause(job.id)
    await there.downloads.cancel(job.id)
    with pytest.raises(Conflict, match="start its instance again"):
        await there.downloads.resume(job.id)


async def test_a_model_of_the_same_name_is_another_download() -> None:
    there = ControlPath()
    job = await pulling(there, "one")
    there.downloads.jobs.add(replace(job, model="org/model", id="other"))

    assert there.downloads.jobs.of_model("org/model") is None


async def test_what_is_under_way_when_llamactl_ends_leaves_nothing() -> None:
    there = ControlPath()
    await pulling(there, "one")
    await there.downloads.close()
    await settle()
    assert there.node.open_pulls == 0
    assert await there.downloads.jobs._store.load() == []
