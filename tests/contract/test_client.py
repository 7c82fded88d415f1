"""Each operation of the OpenAPI document can be reached by the client and by a command."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from llamactl.api import Services, build_api
from llamactl.client import AsyncClient, Client
from llamactl.config import Settings
from support.command_lines import contexts

pytestmark = pytest.mark.representative

DOCUMENT = build_api(
    Services(Settings(), *[cast(Any, None)] * (len(Services.__slots__) - 1))
).openapi()
ALL = sorted(
    f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item
)
_ = "x"

# What is called, and the words of the command for it.
REACHED: dict[str, tuple[Callable[[Client], object], str]] = {
    "GET /health": (lambda c: c.health(), "status"),
    "GET /metrics": (lambda c: c.metrics(), "metrics"),
    "GET /api/v1/version": (lambda c: c.version(), "status"),
    "GET /api/v1/server/help": (lambda c: c.engine_help(), "engine help"),
    "GET /api/v1/server/version": (lambda c: c.engine_version(), "engine version"),
    "GET /api/v1/server/devices": (lambda c: c.engine_devices(), "engine devices"),
    "POST /api/v1/upgrade": (lambda c: c.upgrade(), "upgrade"),
    "GET /api/v1/events": (lambda c: next(c.events()), "events"),
    "GET /api/v1/instances": (lambda c: c.instances.list(), "ps"),
    "GET /api/v1/instances/{name}": (lambda c: c.instances.get(_), "show"),
    "POST /api/v1/instances/{name}": (lambda c: c.instances.create(_, {}), "create"),
    "PUT /api/v1/instances/{name}": (lambda c: c.instances.update(_, {}), "update"),
    "DELETE /api/v1/instances/{name}": (lambda c: c.instances.delete(_), "rm"),
    "POST /api/v1/instances/{name}/start": (lambda c: c.instances.start(_), "start"),
    "POST /api/v1/instances/{name}/stop": (lambda c: c.instances.stop(_), "stop"),
    "POST /api/v1/instances/{name}/restart": (lambda c: c.instances.restart(_), "restart"),
    "POST /api/v1/instances/{name}/plan": (lambda c: c.instances.plan(_), "plan"),
    "GET /api/v1/instances/{name}/events": (lambda c: c.instances.events(_), "events"),
    "GET /api/v1/instances/{name}/logs": (lambda c: c.instances.logs(_), "logs"),
    "POST /api/v1/instances/{name}/preview": (lambda c: c.instances.preview(_, {}), "preview"),
    "POST /api/v1/instances/{name}/page": (lambda c: c.instances.page(_), "open"),
    "GET /api/v1/live": (lambda c: next(c.live()), "top"),
    "GET /api/v1/activity": (lambda c: c.activity(), "events"),
    "GET /api/v1/system": (lambda c: c.system(), "status"),
    "GET /api/v1/doctor": (lambda c: c.doctor(), "doctor"),
    "GET /api/v1/session": (lambda c: c.session(), "status"),
    "POST /api/v1/session/link": (lambda c: c.sign_in_link(), "open"),
    "GET /api/v1/history": (lambda c: c.history("1d", _), ""),
    "GET /api/v1/config/settings": (lambda c: c.config.settings(), "config show"),
    "GET /api/v1/models/starters": (lambda c: c.models.starters(), "models starters"),
    "GET /api/v1/models/search": (lambda c: c.models.search(_), "models search"),
    "GET /api/v1/models/repository": (lambda c: c.models.repository(_), "models search"),
    "POST /api/v1/models/jobs/{job_id}/pause": (lambda c: c.models.pause(_), "models jobs"),
    "POST /api/v1/models/jobs/{job_id}/resume": (lambda c: c.models.resume(_), "models jobs"),
    "GET /api/v1/auth/keys": (lambda c: c.keys.list(), "keys ls"),
    "POST /api/v1/auth/keys": (lambda c: c.keys.create(_), "keys create"),
    "GET /api/v1/auth/keys/{key_id}": (lambda c: c.keys.get(_), "keys show"),
    "DELETE /api/v1/auth/keys/{key_id}": (lambda c: c.keys.revoke(_), "keys revoke"),
    "GET /api/v1/auth/keys/{key_id}/permissions": (lambda c: c.keys.permissions(_), "keys show"),
    "GET /api/v1/nodes": (lambda c: c.nodes(), "node ls"),
    "DELETE /api/v1/nodes/{name}": (lambda c: c.remove_node(_), "node rm"),
    "POST /api/v1/nodes/{name}/drain": (lambda c: c.drain_node(_), "node drain"),
    "POST /api/v1/nodes/{name}/resume": (lambda c: c.resume_node(_), "node resume"),
    "GET /api/v1/requests": (lambda c: c.requests.list(), "requests"),
    "DELETE /api/v1/requests": (lambda c: c.requests.cancel("x"), "cancel"),
    "POST /api/v1/nodes/{name}/devices/{device}/disable": (
        lambda c: c.disable_device(_, _), "node device disable",
    ),
    "POST /api/v1/nodes/{name}/devices/{device}/enable": (
        lambda c: c.enable_device(_, _), "node device enable",
    ),
    "GET /api/v1/contexts": (lambda c: c.contexts.list(), "contexts ls"),
    "DELETE /api/v1/contexts": (lambda c: c.contexts.remove(), "contexts rm"),
    "POST /api/v1/config/reload": (lambda c: c.config.reload(), "reload"),
    "GET /api/v1/config/instances": (lambda c: c.config.export(), "export"),
    "PUT /api/v1/config/instances": (lambda c: c.config.apply({}), "apply"),
    "GET /api/v1/models": (lambda c: c.models.list(), "models ls"),
    "DELETE /api/v1/models": (lambda c: c.models.delete(_), "models rm"),
    "GET /api/v1/models/inspect": (lambda c: c.models.inspect(_), "models inspect"),
    "POST /api/v1/models/download": (lambda c: c.models.download(_), "models pull"),
    "GET /api/v1/models/jobs": (lambda c: c.models.jobs(), "models jobs"),
    "GET /api/v1/models/jobs/{job_id}": (lambda c: c.models.job(_), "models pull"),
    "DELETE /api/v1/models/jobs/{job_id}": (lambda c: c.models.cancel(_), "models jobs"),
    "GET /api/v1/models/jobs/{job_id}/events": (lambda c: next(c.models.follow(_)), "models pull"),
    "GET /api/v1/backends": (lambda c: c.backends.installed(), "engine ls"),
    "GET /api/v1/backends/{backend}/options": (lambda c: c.backends.options(), "engine options"),
    "POST /api/v1/backends/{backend}/parse-command": (
        lambda c: c.backends.parse_command(_), "engine parse",
    ),
}  # fmt: skip


# A browser's cookie is of no use to others, who show their key.
BROWSERS = {
    "POST /api/v1/session", "POST /api/v1/session/link/sign-in", "DELETE /api/v1/session",
}  # fmt: skip


class Asked(Exception):
    pass


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Sends nothing: says what it would send."""

    def send(self: object, call: Any) -> bytes:
        raise Asked(f"{call.method} {call.path}")

    made = Client("http://127.0.0.1:9", "key")
    transport = cast(Any, made)._transport
    monkeypatch.setattr(type(transport), "send", send)
    monkeypatch.setattr(type(transport), "stream", send)
    return made


def test_no_operation_is_left_out() -> None:
    assert {*REACHED} | BROWSERS == {*ALL}


@pytest.mark.parametrize("operation", REACHED)
def test_the_client_reaches_it(operation: str, client: Client) -> None:
    method, path = operation.split(" ")
    pattern = re.sub(r"\{backend\}", "llama-cpp", path)
    pattern = re.sub(r"\{\w+\}", _, pattern)
    with client, pytest.raises(Asked, match=f"^{method} {re.escape(pattern)}$"):
        REACHED[operation][0](client)


def test_each_has_a_command() -> None:
    known = {context.command_path.removeprefix("llamactl ") for context in contexts()}

    without = {operation for operation, (_, command) in REACHED.items() if not command}
    assert without == {"GET /api/v1/history"}  # for charts; in a terminal there is `top`
    assert {command for _, command in REACHED.values()} - {""} <= known


def test_the_async_client_has_the_same_methods() -> None:
    def methods(kind: object) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    with Client("http://x") as plain:
        awaited = AsyncClient("http://x")
        assert methods(plain) == methods(awaited)
        for name in ("instances", "models", "keys", "config", "backends"):
            assert methods(getattr(plain, name)) == methods(getattr(awaited, name))


def test_the_package_says_that_it_is_typed() -> None:
    import llamactl

    assert (Path(llamactl.__file__).parent / "py.typed").exists()
