"""Writes docs/settings.md from the settings tree: `python docs/generate_settings.py`."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from llamactl.config.fields import SettingField, fields_of, sections_of
from llamactl.config.settings import Settings
from llamactl.config.variables import VARIABLES

HEAD = """# Settings

Precedence: defaults < `.env` < YAML file (with `${VAR}` and `${VAR:-default}`) < variables < flags.
The first of these files that exists is used: `LLAMACTL_CONFIG_PATH`, `./llamactl.yaml`,
`./config.yaml`, `~/.config/llamactl/config.yaml`, `/etc/llamactl/config.yaml`. `llamactl config
check` lists errors and where they are. Some settings have no effect in this version, and are
accepted only so that files of the Go llamactl load: the `docker` sections, `response_headers` of
`vllm` and `mlx`, `local_node`, `instances.timeout_check_interval` and the connection settings of
`database`. The `command`, `args` and `environment` of `vllm` and `mlx` are used to read the
engine's options.

A key in `auth.management_keys`, or in the file `management_key`, with less than 8 characters is
rejected; the error names its file and line, or its variable. With less than 20 it causes a warning.

A change of the file or of a declared instance takes effect by `llamactl reload` or SIGHUP, without
a restart, where the table says `reload`; the others need a restart of llamactl, and `reload` names
them. A file with a mistake changes nothing. `llamactl config show` and the page show what is in
force, and where each value comes from.
"""
EFFECT = {"live": "reload", "fixed": "restart"}


def shown(value: Any) -> str:
    """As in the file."""
    if value is None:
        return "unset"
    plain = str(value) if isinstance(value, str | Path) else ""
    return f"`{plain or json.dumps(value)}`"


def row(field: SettingField) -> str:
    names = ", ".join(f"`{name}`" for name, (path, _) in VARIABLES.items() if path == field.path)
    cells = (f"`{field.key}`", shown(field.default), field.unit, field.description,
             EFFECT[field.applies], names)  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table(section: str, fields: list[SettingField]) -> str:
    kind = dict(sections_of(Settings))[tuple(section.split(".")) if section else ()]
    return "\n".join(
        [
            f"\n## {f'`{section}`' if section else 'Outside of sections'}\n",
            *([f"{kind.__doc__}\n"] if section else []),
            "| setting | default | unit | what it is | takes effect by | variable |",
            "|---|---|---|---|---|---|",
            *map(row, fields),
        ]
    )


def text() -> str:
    by_section = groupby(fields_of(Settings), lambda field: field.section)
    return HEAD + "\n".join(table(name, [*fields]) for name, fields in by_section) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(text(), encoding="utf-8")
