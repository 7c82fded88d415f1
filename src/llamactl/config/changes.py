"""Two versions of the settings: what differs, and what of that takes effect at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llamactl.backends import BACKENDS
from llamactl.config.settings import Settings

# Everything else is read once, when llamactl starts.
_OF_ENGINES = ("command", "args", "environment")
_LIVE = (
    "instances.",
    *(f"backends.{b.kind.section}.{name}" for b in BACKENDS.values() for name in _OF_ENGINES),
)
_FIXED = ("instances.logs_dir", "instances.configs_dir", "instances.auto_create_dirs",
          "instances.event_retention")  # fmt: skip


@dataclass(frozen=True, slots=True)
class SettingsChange:
    settings: Settings  # the former ones with what takes effect at once
    live: tuple[str, ...]  # keys
    fixed: tuple[str, ...]  # keys that need a restart of llamactl


def compare(old: Settings, new: Settings) -> SettingsChange:
    before, after = (dict(_flat(s.model_dump(by_alias=True))) for s in (old, new))
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    live = tuple(key for key in keys if is_live(key))
    instances = new.instances.model_copy(
        update={k: getattr(old.instances, k) for k in (f.split(".")[1] for f in _FIXED)}
    )
    engines = {
        name: old.backends.of(backend.kind).model_copy(
            update={k: getattr(new.backends.of(backend.kind), k) for k in _OF_ENGINES}
        )
        for name, backend in BACKENDS.items()
    }
    backends = old.backends.model_copy(update=engines)
    settings = old.model_copy(update={"instances": instances, "backends": backends})
    return SettingsChange(settings, live, tuple(key for key in keys if not is_live(key)))


def is_live(key: str) -> bool:
    return key.startswith(_LIVE) and key not in _FIXED


def _flat(tree: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Tables of people's own keys count as one value."""
    for key, value in tree.items():
        path = f"{at}{key}"
        own = path.endswith((".environment", ".response_headers", ".group_limits", "nodes"))
        if isinstance(value, Mapping) and not own:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value
