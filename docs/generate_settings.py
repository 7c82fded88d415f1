"""Writes docs/settings.md from the settings tree: `python docs/generate_settings.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llamactl.config.settings import Settings
from llamactl.config.variables import VARIABLES

HEAD = """# Settings

Precedence: defaults < `.env` < YAML file (with `${VAR}` and `${VAR:-default}`) < variables < flags.
The first of these files that exists is used: `LLAMACTL_CONFIG_PATH`, `./llamactl.yaml`,
`./config.yaml`, `~/.config/llamactl/config.yaml`, `/etc/llamactl/config.yaml`. `llamactl config
check` lists errors and where they are. Some settings have no effect in this version, and are
accepted only so that files of the Go llamactl load: the `vllm`, `mlx` and `docker` sections,
`instances.timeout_check_interval` and the connection settings of `database`.

A key in `auth.management_keys`, or in the file `management_key`, with less than 8 characters is
rejected; the error names its file and line, or its variable. With less than 20 it causes a warning.

| key | variable | default |
|---|---|---|
"""


def rows(model: BaseModel, at: tuple[str, ...]) -> list[str]:
    found = []
    for name, field in type(model).model_fields.items():
        path = (*at, field.alias or name)
        value: Any = getattr(model, name)
        if isinstance(value, BaseModel):
            found += rows(value, path)
        else:
            names = [f"`{v}`" for v, (target, _) in VARIABLES.items() if target == path]
            shown = list(value) if isinstance(value, tuple) else value
            found.append(f"| `{'.'.join(path)}` | {', '.join(names)} | `{shown}` |")
    return found


def text() -> str:
    return HEAD + "\n".join(rows(Settings(), ())) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(text(), encoding="utf-8")
