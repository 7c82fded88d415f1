"""schemathesis over the OpenAPI document: no input makes a 5xx, answers match their schemas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from llamactl.api import Services, build_api
from llamactl.config import Settings
from support.served import Served, serve

pytestmark = pytest.mark.representative

EXAMPLES = 20 * int(os.environ.get("LLAMACTL_TEST_SCALE", "1"))
# only the document is asked for, so nothing stands behind it
_nothing = cast(Any, None)
DOCUMENT = build_api(Services(Settings(), *[_nothing] * (len(Services.__slots__) - 1))).openapi()
# two are streams that end when the client leaves, one replaces the server, and two ask the hub,
# each with a process of its own (see test_models.py)
_APART = ("GET /api/v1/events", "GET /api/v1/live", "POST /api/v1/upgrade",
          "GET /api/v1/models/search", "GET /api/v1/models/repository")  # fmt: skip
OPERATIONS = [
    operation
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if (operation := cast(Any, found).ok()).label not in _APART
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path: Path = tmp_path_factory.mktemp("fuzz")
    # what is made up must not run: its engine ends at once, so a create is 500 by design
    with serve(path, {"LLAMACTL_LLAMACPP_COMMAND": "/bin/false"}) as server:
        yield server


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_input_makes_a_server_error(operation: Any, fuzzed: Served) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.query.pop("follow", None)  # it would stream for ever, as asked
        answer = case.call(
            base_url=fuzzed.url, headers={"Authorization": f"Bearer {fuzzed.key}"}, timeout=30
        )
        if answer.status_code >= 500:  # the one 500 of the reference: an engine that cannot start
            assert answer.json()["code"] in ("start_failed", "engine_missing"), answer.text
        else:
            case.validate_response(
                answer, checks=[schemathesis.checks.CHECKS.get_one("response_schema_conformance")]
            )

    ask()
