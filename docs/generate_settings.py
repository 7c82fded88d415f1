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
accepted only so that files of the Go llamactl can be loaded: `local_node`,
`instances.timeout_check_interval` and the connection settings of `database`.

A key in `auth.management_keys`, or in the file `management_key`, is rejected if it has fewer than 8
characters; the error names its file and line, or its variable. Fewer than 20 cause a warning.

Settings marked `reload` take effect with `llamactl reload` or SIGHUP, and so do changes to declared
instances. The others need a restart of llamactl; `reload` lists them. A file with an error changes
nothing. `llamactl config show` and the page show the values in effect, and where each comes from.
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
            f"\n## {f'`{section}`' if section else 'General'}\n",
            *([f"{kind.__doc__}\n"] if section else []),
            "| setting | default | unit | what it is | takes effect after | variable |",
            "|---|---|---|---|---|---|",
            *map(row, fields),
        ]
    )


def text() -> str:
    by_section = groupby(fields_of(Settings), lambda field: field.section)
    return HEAD + "\n".join(table(name, [*fields]) for name, fields in by_section) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(text(), encoding="utf-8")
