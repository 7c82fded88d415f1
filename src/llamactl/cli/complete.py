"""What a shell completes: names that a server knows. Nothing is said if it can't be asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamactl.client import Client


def instance_names(incomplete: str) -> list[str]:
    return _fitting(incomplete, lambda client: [row.name for row in client.instances.list()])


def model_names(incomplete: str) -> list[str]:
    return _fitting(incomplete, lambda client: [row.name for row in client.models.list()])


def _fitting(incomplete: str, ask: Callable[[Client], list[str]]) -> list[str]:
    try:
        from llamactl.cli.session import Session

        session = Session(os.environ.get("LLAMACTL_URL"), None, None, as_json=False)
        with session.client_within(2) as client:
            names = ask(client)
    except Exception:  # shell completion must not print errors
        return []
    return [name for name in names if name.startswith(incomplete)]
