"""Instances that are declared in files: `NAME.yaml` holds what a request to create NAME would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from llamactl.config.load import unreadable
from llamactl.core.errors import InvalidConfig

_SUFFIXES = (".yaml", ".yml")


def read_declarations(folder: Path, *, may_be_away: bool) -> dict[str, Mapping[str, Any]]:
    """Bodies by name. Raises InvalidConfig with every file that can't be read.

    `may_be_away`: a folder that is not there declares nothing. Else that is a fault too: it must
    not look as if no instances were wanted.
    """
    found: dict[str, Mapping[str, Any]] = {}
    faults = []
    if may_be_away and not folder.exists():
        return found
    try:
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.suffix in _SUFFIXES and not path.name.startswith(".")
        )
    except OSError as exc:
        raise InvalidConfig(f"instances.configs_dir {folder}: {exc.strerror or exc}") from exc
    for path in paths:
        try:
            body = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as exc:
            faults.append(f"{path}: {unreadable(exc)}")
            continue
        if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
            faults.append(f"{path}: must be a mapping of option names to values")
        elif path.stem in found:
            faults.append(f"{path}: {path.stem} is declared twice")
        else:
            found[path.stem] = body
    if faults:
        raise InvalidConfig("; ".join(faults))
    return found
