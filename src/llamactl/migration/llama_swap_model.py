"""One of llama-swap's `models`, on its way to a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.migration.llama_swap_command import read_command
from llamactl.migration.llama_swap_macros import Macros
from llamactl.migration.report import Migrated, Names, flat, refusal
from llamactl.migration.source import number, shown
from llamactl.policy.definition.engine_help import Vocabulary

_NO_EQUIVALENT = {
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
_INHERIT = -1  # a ttl of the model that leaves it to globalTTL


class Model:
    def __init__(
        self, model_id: str, name: str, macros: Macros, names: Names, found: Migrated,
        engine: Vocabulary,
    ) -> None:  # fmt: skip
        """`engine`: its options; empty if it can't be asked."""
        self._id, self._name = model_id, name
        self._at = f"models.{model_id}"
        self._macros = macros.within(model_id)
        self._names = names
        self._found = found
        self._engine = engine
        self._aliases: list[str] = []
        self._environment: dict[str, str] = {}
        self._set: dict[str, Any] = {}
        self._variants: dict[str, dict[str, Any]] = {}
        self._rest: dict[str, Any] = {}

    def take(self, given: object, ttl: float) -> None:
        """`ttl`: seconds, where the model says nothing."""
        found, since = self._found, len(self._found.rows)
        if not isinstance(given, Mapping):
            found.left_out(self._at, "cmd is missing")
            return
        self._macros.define(given.get("macros"), f"{self._at}.macros", found)
        try:
            self._command(given)
        except LlamactlError as exc:
            del found.rows[since:]
            for path, _ in flat(given, self._at):
                found.left_out(path, exc.message)
            return
        self._rest["idle_timeout"] = ttl / 60
        self._named()
        for key, value in given.items():
            if key not in ("cmd", "macros"):
                self._take_or_leave(key, value, f"{self._at}.{key}")
        aliases = [alias for alias in self._aliases if alias not in self._variants]
        definition = {
            **self._rest, "aliases": aliases, "environment": self._environment,
            "set_params": self._set, "variants": self._variants,
        }  # fmt: skip
        found.add(self._name, definition, self._at, since)

    def _named(self) -> None:
        if self._name != self._id:
            why = self._alias_refused(self._id)
            also = (
                f", and not found as {self._id}: {why}" if why else f", with {self._id} as an alias"
            )
            self._found.changed(self._at, f"named {self._name} here{also}")

    def _command(self, model: Mapping[str, Any]) -> None:
        """Raises LlamactlError if there is nothing to make an instance of."""
        given = model.get("cmd")
        if not isinstance(given, str) or not given.strip():
            raise InvalidRequest("cmd is missing")
        lines = [line for line in given.splitlines() if not line.lstrip().startswith("#")]
        text = self._macros.fill("\n".join(lines))
        filled = {key: self._macros.fill_in(model.get(key)) for key in ("proxy", "checkEndpoint")}
        variables = dict(pair.partition("=")[::2] for _, pair in self._pairs(model.get("env"), ""))
        command = read_command(text, filled, variables, self._macros.environ, self._engine)
        self._rest.update(command.definition)
        self._environment.update(command.environment)
        at, found = f"{self._at}.cmd", self._found
        if command.note or command.left_out:
            found.changed(at, command.note or "without what is left out below")
        else:
            found.carried(at)
        for word in command.left_out:
            found.left_out(at, word)

    def _take_or_leave(self, key: str, value: Any, at: str) -> None:
        if value is None or value in ("", [], {}):
            self._found.carried(at, "not given")
            return
        try:
            self._take(key, value, at)
        except LlamactlError as exc:
            self._found.left_out(at, exc.message)

    def _take(self, key: str, value: Any, at: str) -> None:
        """Raises LlamactlError for a value that can't be used."""
        match key:
            case "ttl":
                self._ttl(value, at)
            case "env":
                self._variables(value, at)
            case "aliases":
                for number, alias in enumerate(value if isinstance(value, list) else [value]):
                    self._alias(alias, f"{at}.{number}" if isinstance(value, list) else at)
            case "useModelName":
                self._parameters({"model": self._macros.fill_in(value)}, at, "set_params.model")
            case "filters" if isinstance(value, Mapping):
                for name, given in value.items():
                    self._filter(name, given, f"{at}.{name}")
            case "proxy" | "checkEndpoint" if self._rest["backend_type"] == "command":
                self._found.carried(at, "where it listens and answers")
            case _:
                why = _NO_EQUIVALENT.get(key, "no equivalent")
                for path, _ in flat(value, at):
                    self._found.left_out(path, why)

    def _ttl(self, given: object, at: str) -> None:
        """Also one that is written as a text; a macro's, too."""
        value = self._macros.fill_in(given)
        try:
            seconds = number(value, _INHERIT)
        except ValueError as exc:
            raise InvalidRequest(f"{shown(given)} is not a number of seconds") from exc
        if _INHERIT < seconds < 0:
            raise InvalidRequest(f"{shown(given)} is not a number of seconds")
        if seconds != _INHERIT:
            self._rest["idle_timeout"] = seconds / 60
        self._found.carried(at, "idle_timeout, in minutes")

    def _variables(self, given: object, at: str) -> None:
        for path, text in self._pairs(given, at):
            variable, _, content = text.partition("=")
            if why := refusal({"environment": {variable: content}}):
                self._found.left_out(path, why)
            else:
                self._environment[variable] = content
                self._found.carried(path, "environment")

    def _pairs(self, given: object, at: str) -> list[tuple[str, str]]:
        """Each NAME=VALUE of a list, and where it is; a mapping is understood too."""
        if isinstance(given, Mapping):
            pairs = [(f"{at}.{name}", f"{name}={value}") for name, value in given.items()]
        else:
            items = given if isinstance(given, list) else [] if given is None else [given]
            pairs = [(f"{at}.{number}", str(item)) for number, item in enumerate(items)]
        return [(path, self._macros.fill(text)) for path, text in pairs]

    def _alias(self, given: object, at: str) -> None:
        if isinstance(given, Mapping):
            for key in given.keys() - {"id"}:
                self._found.left_out(f"{at}.{key}", "an alias is only a name")
            at, given = f"{at}.id", given.get("id")
        if why := self._alias_refused(self._macros.fill(str(given or ""))):
            self._found.left_out(at, why)
        else:
            self._found.carried(at, "aliases")

    def _alias_refused(self, alias: str) -> str:
        """Takes the alias, or says why it can't."""
        if alias in (self._name, *self._aliases):
            return ""
        if why := refusal({"aliases": [*self._aliases, alias]}):
            return why
        if not self._names.take(alias, self._id):
            return f"{alias} is already the name or alias of another instance"
        self._aliases.append(alias)
        return ""

    def _filter(self, key: str, given: Any, at: str) -> None:
        found = self._found
        if key in ("stripParams", "strip_params"):
            texts = given if isinstance(given, list) else str(given or "").split(",")
            names = [self._macros.fill(str(text)).strip() for text in texts]
            self._rest["strip_params"] = [name for name in names if name and name != "model"]
            found.carried(at, "strip_params")
        elif key == "setParams" and isinstance(given, Mapping):
            self._set_each(given, at)
        elif key == "setParamsByID" and isinstance(given, Mapping):
            for variant, params in given.items():
                filled = self._macros.fill_in(params)
                self._variant(self._macros.fill(str(variant)), filled, f"{at}.{variant}")
        else:
            found.left_out(at, "no equivalent" if given else "not given")

    def _variant(self, variant: str, params: object, at: str) -> None:
        """What is set for its own id is set for all: that is not a variant."""
        if variant == self._id and isinstance(params, Mapping):
            self._parameters(params, at, "set_params")
            return
        asked = {variant: {"set_params": params}}
        if why := refusal({"variants": {**self._variants, **asked}}):
            self._found.left_out(at, why)
        elif variant not in self._aliases and not self._names.take(variant, self._id):
            self._found.left_out(at, f"{variant} is already a name of another instance")
        else:
            self._variants.update(asked)
            self._found.carried(at, "variants")

    def _set_each(self, given: Mapping[str, Any], at: str) -> None:
        for name, value in given.items():
            self._parameters({name: self._macros.fill_in(value)}, f"{at}.{name}", "set_params")

    def _parameters(self, given: Mapping[str, Any], at: str, note: str) -> None:
        if why := refusal({"set_params": given}):
            self._found.left_out(at, why)
        else:
            self._set.update(given)
            self._found.carried(at, note)
