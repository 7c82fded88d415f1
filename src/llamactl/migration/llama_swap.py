"""From llama-swap's configuration, as its config.example.yaml has it:
https://github.com/mostlygeek/llama-swap
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llamactl.backends import LLAMA_CPP
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.migration.report import Migrated, flat, name_for, refusal
from llamactl.policy.definition.command_line import leave_unknown_out
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_MACRO = re.compile(r"\$\{([A-Za-z0-9_.-]+)\}")
_DEEPEST = 10  # macros within macros
_TOP = {
    "logTimeFormat": "the log has only one time format",
    "logToStdout": "each engine has its own log file: `llamactl logs`",
    "metricsMaxInMemory": "see `/metrics`",
    "captureBuffer": "requests are not captured",
    "sendLoadingState": "see server.loading_comments",
    "includeAliasesInList": "aliases are listed with their models",
    "matrix": "available memory decides what runs together: instances.memory_budget",
    "groups": "available memory decides what runs together; see `group` and instances.group_limits",
    "peers": "remote machines are not available in this version",
}
_SETTINGS: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "healthCheckTimeout": ("instances.start_timeout", lambda seconds: seconds),
    "logLevel": ("log.level", lambda level: "warning" if level == "warn" else level),
    "startPort": ("instances.port_range", lambda port: [port, min(65535, int(port) + 1000)]),
    "globalTTL": ("instances.default_idle_timeout", lambda seconds: seconds / 60),  # minutes
}
_OTHER_ENGINE = re.compile(r"(^|[\s/])(vllm|mlx_lm)[\s./]")
_MODEL = {
    "name": "an instance has one name",
    "description": "descriptions are not supported",
    "checkEndpoint": "the engine's own health path is used",
    "proxy": "llamactl chooses the port",
    "unlisted": "all instances are listed",
    "metadata": "metadata is not supported",
    "concurrencyLimit": "requests wait in the engine's own queue",
    "sendLoadingState": "see server.loading_comments",
    "timeouts": "see server.first_byte_timeout and server.stream_idle_timeout",
    "cmdStop": "processes and their children are ended by signals",
}


def from_llama_swap(
    config: Mapping[str, Any], environ: Mapping[str, str], engine: Vocabulary = UNREAD
) -> Migrated:
    """Raises LlamactlError if it is not a llama-swap configuration.

    `engine`: the options of the engine; empty if it can't be asked.
    """
    if not isinstance(config.get("models", {}), Mapping):
        raise LlamactlError("not a llama-swap configuration: `models` must be a mapping")
    found = Migrated()
    macros = _macros(config.get("macros") or {}, "macros", found)
    for key, value in config.items():
        if key not in ("models", "macros"):
            _take_top(key, value, found)
    ttl = config.get("globalTTL") or 0
    variables = {f"env.{name}": value for name, value in environ.items()}
    for key, model in (config.get("models") or {}).items():
        model_id, given = str(key), model or {}
        own = _macros(given.get("macros") or {}, f"models.{model_id}.macros", found)
        known = {**variables, **macros, **own, "MODEL_ID": model_id, "PORT": "0"}
        _Model(model_id, known, found, engine).take(given, ttl)
    return found


def _macros(given: Mapping[str, Any], at: str, found: Migrated) -> dict[str, str]:
    for name in given:
        found.carried(f"{at}.{name}", "expanded where it is used")
    return {str(name): _text(value) for name, value in given.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _take_top(key: str, value: Any, found: Migrated) -> None:
    if key in _SETTINGS:
        path, convert = _SETTINGS[key]
        found.set(path, convert(value))
        found.carried(key, path)
    elif key == "apiKeys":
        for number, _ in enumerate(value or ()):
            found.left_out(f"{key}.{number}", "create keys with `llamactl keys create`")
    else:
        for path, inner in flat(value, key):
            if path == "hooks.on_startup.preload" and isinstance(inner, list):
                found.start += [name_for(str(name)) for name in inner]
                found.changed(
                    path, "start them once; llamactl restarts running instances automatically"
                )
            else:
                found.left_out(path, _TOP.get(key, "no equivalent"))


class _Model:
    """One of `models`, on its way to a definition."""

    def __init__(
        self, model_id: str, known: Mapping[str, str], found: Migrated, engine: Vocabulary
    ) -> None:
        """`known`: macros."""
        self._engine = engine
        self._id = model_id
        self._at = f"models.{model_id}"
        self._known = known
        self._found = found
        self._aliases: list[str] = []
        self._environment: dict[str, str] = {}
        self._set: dict[str, Any] = {}
        self._rest: dict[str, Any] = {}

    def take(self, model: Mapping[str, Any], ttl: float) -> None:
        """`ttl`: seconds, where the model says nothing."""
        name, found = name_for(self._id), self._found
        if name != self._id:
            self._aliases.append(self._id)
            found.changed(self._at, f"named {name} here, with {self._id} as an alias")
        try:
            self._command(model.get("cmd"))
        except LlamactlError as exc:
            for path, _ in flat(model, self._at):
                found.left_out(path, exc.message)
            return
        if ttl:
            self._rest["idle_timeout"] = ttl / 60
        for key, value in model.items():
            if key not in ("cmd", "macros"):
                self._take(key, value, f"{self._at}.{key}")
        definition = {
            "backend_type": "llama_cpp", **self._rest, "aliases": self._aliases,
            "environment": self._environment, "set_params": self._set,
        }  # fmt: skip
        if why := refusal({k: v for k, v in definition.items() if v}):
            found.left_out(self._at, why)
        else:
            found.add(name, definition)

    def _command(self, given: object) -> None:
        """Raises LlamactlError if there is nothing to make an instance of."""
        if not isinstance(given, str) or not given.strip():
            raise InvalidRequest("cmd is missing")
        lines = [line for line in given.splitlines() if not line.lstrip().startswith("#")]
        text = " ".join(_filled("\n".join(lines), self._known).split("\n"))
        if _OTHER_ENGINE.search(text):
            raise InvalidRequest("this engine is not available in this version")
        parsed = LLAMA_CPP.parse_command(text, self._engine)
        leave_unknown_out(parsed, self._engine)
        parsed.options.pop("port", None)  # of the macro ${PORT}
        self._rest["backend_options"] = parsed.options
        self._environment.update(parsed.environment)
        at, found = f"{self._at}.cmd", self._found
        if parsed.image:
            found.changed(at, f"without its container {parsed.image}")
        else:
            found.carried(at)
        for word in parsed.not_understood:
            found.left_out(at, word)

    def _take(self, key: str, value: Any, at: str) -> None:
        found = self._found
        match key:
            case "ttl":
                if value != -1:
                    self._rest["idle_timeout"] = value / 60
                found.carried(at, "idle_timeout, in minutes")
            case "env":
                self._variables(value, at)
            case "aliases":
                for number, alias in enumerate(value):
                    self._alias(alias, f"{at}.{number}")
            case "useModelName":
                self._set["model"] = _filled(str(value), self._known)
                found.carried(at, "set_params.model")
            case "filters":
                for name, given in value.items():
                    self._filter(name, given, f"{at}.{name}")
            case _:
                for path, _ in flat(value, at):
                    found.left_out(path, _MODEL.get(key, "no equivalent"))

    def _variables(self, given: Sequence[object], at: str) -> None:
        for number, text in enumerate(given):
            variable, _, content = _filled(str(text), self._known).partition("=")
            self._environment[variable] = content
            self._found.carried(f"{at}.{number}", "environment")

    def _alias(self, alias: object, at: str) -> None:
        if not isinstance(alias, Mapping):
            self._aliases.append(str(alias))
            self._found.carried(at, "aliases")
            return
        self._aliases.append(str(alias.get("id", "")))
        self._found.carried(f"{at}.id", "aliases")
        for key in alias.keys() - {"id"}:
            self._found.left_out(f"{at}.{key}", "an alias is only a name")

    def _filter(self, key: str, given: Any, at: str) -> None:
        found = self._found
        if key in ("stripParams", "strip_params"):
            names = [name.strip() for name in _filled(str(given), self._known).split(",")]
            self._rest["strip_params"] = [name for name in names if name and name != "model"]
            found.carried(at, "strip_params")
        elif key == "setParams":
            self._set.update(given)
            for name in given:
                found.carried(f"{at}.{name}", "set_params")
        elif key == "setParamsByID":
            for variant, params in given.items():
                if _filled(str(variant), self._known) == self._id:
                    self._set.update(params)
                    found.carried(f"{at}.{variant}", "set_params")
                else:
                    why = "parameters belong to an instance, not to an alias of it"
                    found.left_out(f"{at}.{variant}", why)
        else:
            found.left_out(at, "no equivalent")


def _filled(text: str, known: Mapping[str, str]) -> str:
    """Raises InvalidRequest for a macro that is not defined."""

    def one(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise InvalidRequest(f"the macro ${{{match[1]}}} is not defined")
        return known[match[1]]

    for _ in range(_DEEPEST):
        if not _MACRO.search(text):
            return text
        text = _MACRO.sub(one, text)
    raise InvalidRequest("its macros refer to each other in a cycle")
