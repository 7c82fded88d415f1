"""How an engine ended that was asked to, and whose log nobody has to read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.core.exits import ExitReport
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.process.process import Ended


async def settled() -> None: ...


def report(ended: Ended) -> ExitReport:
    log = SimpleNamespace(settled=settled)
    engine = SimpleNamespace(explained=False, log=log, _oom=SimpleNamespace(struck=lambda: False))
    return asyncio.run(EngineProcess.report(cast(Any, engine), ended))


@pytest.mark.parametrize(
    ("ended", "summary"),
    [
        (Ended(0, None), "the engine exited with code 0 (killed): it was asked to exit"),
        (Ended(None, 15), "the engine was ended by signal 15 (killed): it was asked to exit"),
        (
            Ended(None, None),  # an earlier llamactl's child
            "the engine exited; its exit status is unknown (killed): it was asked to exit",
        ),
    ],
)
def test_an_end_that_was_asked_for_is_told_by_its_status(ended: Ended, summary: str) -> None:
    assert report(ended).summary == summary
