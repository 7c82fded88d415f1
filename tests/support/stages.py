"""In which stage of `make test` and `make test-rest` each test runs: in just one.

The folder says it. Of the folders whose servers take long, what is marked `representative` runs
early; what is marked `late`, or is run again on another engine, never does.
"""

from __future__ import annotations

from collections import Counter

import pytest

from support.engines import LLAMA_SERVER

DOCS, UNIT, IN_PROCESS, SERVER, REST = STAGES = ("docs", "unit", "in-process", "server", "rest")
EARLY, LATE = "representative", "late"
ENGINES = "engines"  # of `make test-engines` alone: what they need is gigabytes
GPU = "gpu"  # of `make test-gpu` alone
APART = (ENGINES, GPU)
OF_FOLDER = {
    "docs": DOCS,
    "property": UNIT,
    "unit": UNIT,
    "in_process": IN_PROCESS,
    "reference": SERVER,
    "contract": REST,
    "e2e": REST,
    "engines": ENGINES,
    "fault": REST,
    "gpu": GPU,
    "integration": REST,
    "soak": REST,
}


def may_hold(folder: str, stage: str) -> bool:
    """Need a folder be read for this stage? Reading all takes longer than some stages."""
    mine = OF_FOLDER.get(folder, stage)
    if mine in APART or stage in APART:
        return mine == stage
    return stage in (mine, REST) or (stage == SERVER and mine == REST)


def stage_of(item: pytest.Item) -> str:
    """Raises UsageError for a test in a folder that is not known here."""
    folder = item.path.parent.name
    if folder not in OF_FOLDER:
        raise pytest.UsageError(f"{item.nodeid}: tests/support/stages.py names no stage for it")
    parameters = getattr(item, "callspec", None)
    again = parameters is not None and parameters.params.get("engine") == LLAMA_SERVER
    if again or item.get_closest_marker(LATE):
        return REST
    early = item.get_closest_marker(EARLY) is not None
    return SERVER if early and OF_FOLDER[folder] == REST else OF_FOLDER[folder]


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """What takes longest first, so that at the end of a stage nobody waits for a file of it.

    A test of `soak` takes as long as a file of others; of those, a file with more tests does.
    """
    tests = Counter(item.path for item in items)
    return sorted(items, key=lambda item: (item.path.parent.name != "soak", -tests[item.path]))
