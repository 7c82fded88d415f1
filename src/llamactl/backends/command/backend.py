"""A command: any program with an HTTP server, run as its options say."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from llamactl.backends.command import options as names
from llamactl.backends.command.api import API
from llamactl.backends.command.failures import KILLS_ITSELF, PATTERNS, VAGUE
from llamactl.backends.command.paste import read_command
from llamactl.backends.command.placeholders import MODEL, PORT, fill, names_port
from llamactl.backends.contract import Backend, Fields, Launch, Options, Start
from llamactl.backends.kind import Kind
from llamactl.backends.readiness import ProbeRequest, Readiness
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.definition.command_line import Parsed
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary

if TYPE_CHECKING:
    from llamactl.backends.settings import BackendSettings

_ANY_PORT = 1


def _settings() -> BackendSettings:
    from llamactl.backends.command.settings import CommandSettings

    return CommandSettings()


class Command(Backend):
    kind = Kind("command", "command", "COMMAND", "Any command", _settings)
    api = API
    fields = Fields(
        programs=frozenset({"command"}), paths=frozenset({"model"}), words=frozenset({"args"}),
        models=frozenset({"model"}), folders=frozenset({"model"}),
    )  # fmt: skip
    failure_patterns = PATTERNS
    vague_lines = VAGUE
    kills_itself = KILLS_ITSELF

    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        return names.canonical(options)

    def listed_options(self) -> Sequence[EngineOption]:
        return names.listed()

    def parse_command(self, text: str, known: Vocabulary) -> Parsed:
        return read_command(text)

    def check(self, start: Start) -> None:
        named = start.override or self.program(start.settings, start.options)
        if not named and start.container is None:
            raise InvalidOption(
                "the instance names no program; set the option 'command'",
                details={"missing": "command"},
            )
        texts = [text for _, text in _texts(start)]
        if not start.port and not any(map(names_port, texts)):
            raise InvalidOption(
                "cannot pass the port to the program: neither args nor the environment contains "
                "${PORT}; add it where the program expects its port, such as --port ${PORT}"
            )
        values = _values(start, start.port or _ANY_PORT)
        for where, text in _texts(start):
            fill(text, values, where)

    def launch(self, start: Start) -> Launch:
        options, values = start.options, _values(start, start.port)
        words = [fill(word, values, "args") for word in _words(start)]
        environment = {
            name: fill(text, values, f"environment.{name}")
            for name, text in _environment(start).items()
        }
        if variable := options.get("api_key_env"):
            environment[str(variable)] = start.key
        if flag := options.get("api_key_flag"):
            words += [str(flag), start.key]
        return Launch(words, environment)

    def program(self, settings: EngineSettings, options: Options) -> str:
        return str(options.get("command") or settings.command)

    def readiness(self, options: Options) -> Readiness:
        path = str(options.get("health_path", names.HEALTH_PATH))
        request = None
        if probe := options.get("probe_path"):
            body = options.get("probe_body") or _one_token(options)
            request = ProbeRequest(str(probe), str(body))
        return Readiness(None if path == names.NO_HEALTH_PATH else path, request)

    def knows_key(self, options: Options) -> bool:
        return "api_key_env" in options or "api_key_flag" in options

    def stop_signal(self, options: Options) -> int:
        return signal.Signals[str(options.get("stop_signal", "SIGTERM"))]

    def served_model(self, options: Options) -> str:
        return str(options.get("served_model", ""))


def _values(start: Start, port: int) -> dict[str, str]:
    return {PORT: str(port), MODEL: str(start.options.get("model", ""))}


def _one_token(options: Options) -> str:
    """A completion, for an engine that speaks OpenAI's API."""
    model = options.get("served_model") or options.get("model") or "default"
    return json.dumps({"model": model, "prompt": "a", "max_tokens": 1})


def _words(start: Start) -> list[str]:
    own = start.options.get("args", ())
    return [*start.settings.args, *(map(str, own) if isinstance(own, Sequence) else ())]


def _environment(start: Start) -> dict[str, str]:
    return {**start.settings.environment, **start.environment}


def _texts(start: Start) -> Iterator[tuple[str, str]]:
    """Everything with placeholders to fill in, and where each is."""
    yield from (("args", word) for word in _words(start))
    yield from ((f"environment.{name}", text) for name, text in _environment(start).items())


COMMAND = Command()
