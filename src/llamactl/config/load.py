"""Find, read, merge and check the settings; say what is wrong, and where.

Precedence: defaults < `.env` < YAML file < `LLAMACTL_*` variables < flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from pydantic import ValidationError

from llamactl.backends import DEFAULT
from llamactl.config.management_keys import warning_of
from llamactl.config.settings import Settings
from llamactl.config.sources import leaves
from llamactl.config.variables import VARIABLES
from llamactl.core.errors import InvalidConfig

# Keys of the Go llamactl's older versions, which mean nothing here.
_RETIRED = {
    ("auth", "inference_keys"): "create inference keys with POST /api/v1/auth/keys",
    ("instances", "default_log_dir"): "use instances.logs_dir",
    ("instances", "log_dir"): "use instances.logs_dir",
    ("instances", "llama_executable"): f"use backends.{DEFAULT.kind.section}.command",
    ("server", "response_headers"): "use backends.*.response_headers",
    ("version",): "",
    ("commit_hash",): "",
    ("build_time",): "",
}
_QUOTED = re.compile(r"'[^']{3,}'|\"[^\"]{3,}\"")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Loaded:
    settings: Settings
    source: Path | None
    warnings: tuple[str, ...]
    sources: Mapping[tuple[str, ...], str] = field(default_factory=dict)  # of what was given
    weak_keys: tuple[str, ...] = ()  # what to say of short management keys


def load(
    environ: Mapping[str, str],
    *,
    path: Path | None = None,
    flags: Mapping[str, Mapping[str, Any]] | None = None,
    cwd: Path | None = None,
) -> Loaded:
    """Read the settings. Raises InvalidConfig with every fault found, by file, line and key."""
    here = cwd or Path.cwd()
    dotenv = {k: v for k, v in dotenv_values(here / ".env").items() if v is not None}
    env = {**dotenv, **environ}
    source = _find(env, path, here)
    tree, lines = _read(source, env) if source else ({}, {})
    warnings = _drop_retired(tree)
    # .env has a lower precedence than the file, real variables a higher one
    low = {k: v for k, v in dotenv.items() if k not in environ}
    layers = [_from_variables(low), tree, _from_variables(environ), flags or {}]
    merged: Mapping[str, Any] = {}
    for layer in layers:
        merged = _merge(merged, layer)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as exc:
        raise InvalidConfig(_describe(exc, source, lines)) from exc
    sources = _sources(layers, str(source), low, environ)
    weak = _weak_keys(settings, sources, lines)
    return Loaded(settings, source, tuple(warnings), sources, weak)


def _weak_keys(
    settings: Settings,
    sources: Mapping[tuple[str, ...], str],
    lines: Mapping[tuple[str, ...], int],
) -> tuple[str, ...]:
    """Raises InvalidConfig for a management key that can be guessed."""
    at = ("auth", "management_keys")
    file = sources.get(at, "")
    found = []
    for number, key in enumerate(settings.auth.management_keys):
        line = lines.get((*at, str(number)), lines.get(at))
        named = file.startswith(("variable ", ".env ")) or line is None
        where = file if named else f"{file}, line {line}"
        if key:
            found.append(warning_of(key, f"{where}: auth.management_keys"))
    return tuple(said for said in found if said)


def _sources(
    layers: Sequence[Mapping[str, Any]], file: str, low: Mapping[str, str], env: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    names = {path: name for name, (path, _) in VARIABLES.items() if name in {**low, **env}}
    found: dict[tuple[str, ...], str] = {}
    for layer, word in zip(layers, (".env", file, "variable", "flag"), strict=True):
        for path, _ in leaves(layer):
            of_variable = word in (".env", "variable")
            found[path] = f"{word} {names[path]}" if of_variable and path in names else word
    return found


def _find(env: Mapping[str, str], path: Path | None, here: Path) -> Path | None:
    given = path or (Path(env["LLAMACTL_CONFIG_PATH"]) if env.get("LLAMACTL_CONFIG_PATH") else None)
    if given is not None:
        if not given.is_file():
            raise InvalidConfig(f"settings file {given}: no such file")
        return given
    home = Path(env.get("HOME", "~")).expanduser()
    places = (
        here / "llamactl.yaml",
        here / "config.yaml",
        home / ".config/llamactl/config.yaml",
        Path("/etc/llamactl/config.yaml"),
    )
    return next((place for place in places if place.is_file()), None)


def _read(
    source: Path, env: Mapping[str, str]
) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        text = source.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise InvalidConfig(f"settings file {source}: {unreadable(exc)}") from exc
    if tree is None:
        return {}, {}
    if not isinstance(tree, dict):
        raise InvalidConfig(f"settings file {source}, line 1: must be a mapping of keys")
    lines: dict[tuple[str, ...], int] = {}
    if node is not None:
        _note_lines(node, (), lines)
    expanded = _expand(tree, env, source)
    return {k: v for k, v in expanded.items() if v is not None}, lines


def unreadable(exc: Exception) -> str:
    """Why a YAML file can't be read, without its content, which may be secret."""
    if isinstance(exc, yaml.MarkedYAMLError):
        at = exc.problem_mark or exc.context_mark
        where = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        return where + _QUOTED.sub("…", said)
    return " ".join(str(exc).split())


def _note_lines(node: yaml.Node, at: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[*at, str(number)] = item.start_mark.line + 1
            _note_lines(item, (*at, str(number)), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        path = (*at, str(key.value))
        if path in lines:
            raise InvalidConfig(f"line {key.start_mark.line + 1}: {'.'.join(path)} is given twice")
        lines[path] = key.start_mark.line + 1
        _note_lines(value, path, lines)


def _expand(value: Any, env: Mapping[str, str], source: Path) -> Any:
    def one(match: re.Match[str]) -> str:
        name, default = match.groups()
        if (found := env.get(name)) is not None and (found or default is None):
            return found
        if default is None:
            raise InvalidConfig(
                f"settings file {source}: variable {name} is not set; "
                f"set it or write ${{{name}:-default}}"
            )
        return str(default)

    match value:
        case str():
            return _REFERENCE.sub(one, value)
        case dict():
            return {str(k): _expand(v, env, source) for k, v in value.items()}
        case list():
            return [_expand(v, env, source) for v in value]
        case _:
            return value


def _drop_retired(tree: dict[str, Any]) -> list[str]:
    warnings = []
    for path, advice in _RETIRED.items():
        at: Any = tree
        for part in path[:-1]:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, dict) and path[-1] in at:
            del at[path[-1]]
            hint = f"; {advice}" if advice else ""
            warnings.append(f"{'.'.join(path)} is not a known setting and is ignored{hint}")
    return warnings


def _from_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, (path, parse) in VARIABLES.items():
        if name not in environ:
            continue
        try:
            value = parse(environ[name])
        except ValueError as exc:
            raise InvalidConfig(f"variable {name}: {exc}") from exc
        at = tree
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = value
    return tree


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(low)
    for key, value in high.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return result


def _describe(
    exc: ValidationError, source: Path | None, lines: Mapping[tuple[str, ...], int]
) -> str:
    faults = []
    for error in exc.errors():
        path = tuple(str(part) for part in error["loc"])
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
        where = f"{source}, line {line}: " if source and line else ""
        unknown = error["type"] == "extra_forbidden"
        what = "unknown key" if unknown else error["msg"].removeprefix("Value error, ")
        key = f"{'.'.join(path)}: " if path else ""
        faults.append(f"{where}{key}{what}")
    return "; ".join(faults)
