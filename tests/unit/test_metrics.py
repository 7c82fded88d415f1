"""What engines tell as numbers may be much: it is not read in the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llamactl.api.routers.metrics import metrics
from llamactl.api.shared_work import SharedWork
from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.provisions.contexts import Contexts
from llamactl.core.ports.context_use import ContextUse
from llamactl.core.routes import ReadyInstance
from llamactl.observe import Meters
from support.fake_node import FakeNode

NUMBERS = "# TYPE x counter\nx 1\n"


async def scrape(_: object) -> Mapping[str, str]:
    return {"": NUMBERS}


async def nothing() -> None: ...


def test_the_numbers_of_engines_are_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[str]()

    def noted(text: str) -> Any:
        threads.append(threading.current_thread().name)
        return text_string_to_metric_families(text)

    monkeypatch.setattr("llamactl.observe.exposition.text_string_to_metric_families", noted)
    runner = SimpleNamespace(now=SimpleNamespace(state=SimpleNamespace(value="ready")))
    managed = SimpleNamespace(
        instance=SimpleNamespace(name="a@2", id="1-2", model_name="a"),
        replica=SimpleNamespace(
            ready=ReadyInstance("a@2", "127.0.0.1", 1, "key", 1),
            runner=runner,
            context=SimpleNamespace(name="two"),
        ),
    )
    numbers = SimpleNamespace(
        scrape=scrape,
        meters=Meters,
        gather=nothing,
        leases=lambda _: 0,
        gauges=dict[str, float],
        shown=SharedWork[bytes](),
    )
    mine = SimpleNamespace(
        settings=SimpleNamespace(server=SimpleNamespace(metrics_open=True)),
        about=SimpleNamespace(settings=SettingsHolder(Settings())),
        instances=SimpleNamespace(all=lambda: [managed]),
        numbers=numbers,
        contexts=Contexts(FakeNode(), SettingsHolder(Settings()), ContextUse()),
    )

    answer = asyncio.run(metrics(cast(Any, None), cast(Any, mine)))

    said = bytes(answer.body)
    assert b'x_total{instance="a@2"} 1.0' in said
    assert b'llamactl_instance_info{instance="a@2",model="a",node="two"} 1.0' in said
    assert threads
    assert threading.main_thread().name not in threads
