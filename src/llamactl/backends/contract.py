"""The contract of a backend: one kind of engine, described as data. It starts no process."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from llamactl.backends.containers import container_of
from llamactl.backends.contexts import ContextSlots
from llamactl.backends.kind import Kind
from llamactl.backends.model_rules import ModelRules
from llamactl.backends.readiness import Readiness
from llamactl.backends.sleep import SleepMode
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container, InstanceOptions, OptionValue
from llamactl.core.model import ModelInfo
from llamactl.core.ports.node import EngineSettings
from llamactl.policy.definition.command_line import Parsed, is_engine
from llamactl.policy.definition.confinement import AS_NAMED, Meanings
from llamactl.policy.definition.engine_help import UNREAD, EngineOption, Vocabulary, read_help
from llamactl.policy.pasted import Pasted, read_pasted

Options = Mapping[str, OptionValue]
Get = Callable[[str], str]  # what an engine answers to GET of a path; "" for nothing or an error
SIGTERM = 15


@dataclass(frozen=True, slots=True)
class Api:
    """The paths of an engine's HTTP API, and who may use them."""

    # Method and path of what an inference key may call; the rest needs a management key.
    # Only these start an instance: looking at one must not wake it.
    inference: frozenset[tuple[str, str]]
    # First words of the paths, below `/v1` or not, that need a management key.
    guarded: frozenset[str] = frozenset()
    # Paths outside `/v1` that name their instance by `model`, as those within do.
    by_model: frozenset[str] = frozenset()
    # `/{prefix}/{name}/…` leads to its instances, and to no others; "": it has no prefix.
    prefix: str = ""
    # First words of the paths, below `/v1` or not, that nobody reaches through llamactl.
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Options by what they can name on this machine."""

    programs: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()  # of files and folders
    models: frozenset[str] = frozenset()  # of those, files that begin as a model's does
    folders: frozenset[str] = frozenset()  # of the paths, what may be a folder
    words: frozenset[str] = frozenset()  # arguments as they are, which can name either


@dataclass(frozen=True, slots=True)
class FailurePattern:
    """A log line of the engine that explains its failure, and the source of that line."""

    pattern: re.Pattern[str]
    failure: FailureClass
    advice: str
    source: str  # URL
    lingers: bool = False  # it does not exit then, and never serves
    # It lost a process of its own, and does not say why: what another line says counts more.
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ErrorAdvice:
    """What to do about an error that the engine answers, and where its message comes from."""

    pattern: re.Pattern[str]
    advice: str  # in words that an inference key may see
    source: str  # URL


@dataclass(frozen=True, slots=True)
class Start:
    """What one start of an engine is given."""

    name: str
    options: Options
    settings: EngineSettings
    host: str
    port: int
    key: str
    environment: Mapping[str, str] = field(default_factory=dict)  # the instance's own
    known: Vocabulary = UNREAD  # the engine's options, by its own help
    override: str = ""  # the program to run, whatever the backend says
    preset: bool = False  # the definition holds one
    container: Container | None = None  # that it runs in; what is not named there, the image has
    drain_s: int = 0  # seconds that its last requests may take, once it is asked to end
    context_folder: str = ""  # where its contexts are kept when it ends; "": they are not
    sleep_s: float = 0.0  # seconds without requests until it sleeps; 0: it does not

    @classmethod
    def of(
        cls, given: InstanceOptions, settings: EngineSettings,
        *, name: str = "", host: str = "", port: int = 0, key: str = "",
        known: Vocabulary = UNREAD,
    ) -> Start:  # fmt: skip
        """The port is llamactl's to choose: one among the options only asks for it."""
        options = {k: v for k, v in given.backend_options.items() if k != "port"}
        return cls(
            name, options, settings, host, port, key, given.environment,
            override=given.command_override, known=known, preset=bool(given.preset_ini),
            container=container_of(settings, given),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Launch:
    """Anybody on this machine can read an argv, only its owner an environment."""

    words: Sequence[str]  # after the program
    environment: Mapping[str, str]  # beside what every engine inherits


class Backend(ABC):
    """A folder holds one subclass. What is not overridden is not known of that engine."""

    kind: ClassVar[Kind]
    api: ClassVar[Api]
    fields: ClassVar[Fields]
    models: ClassVar[ModelRules | None] = None  # None: what it serves and takes is unknown
    contexts: ClassVar[ContextSlots | None] = None  # None: they end with its process
    sleep: ClassVar[SleepMode | None] = None  # None: it can't
    # Names in a request's body that the engine takes for one parameter.
    synonyms: ClassVar[Sequence[frozenset[str]]] = ()
    # Names the file with the options of several models; "": it has none.
    preset_option: ClassVar[str] = ""
    # Members of a request's body that never reach the engine: they would have it load other files.
    stripped: ClassVar[frozenset[str]] = frozenset()
    failure_patterns: ClassVar[Sequence[FailurePattern]] = ()
    # Lines that complain, but follow those that say why.
    vague_lines: ClassVar[re.Pattern[str] | None] = None
    # It exits with 0 only when it was asked to; of others nobody knows.
    exits_when_asked: ClassVar[bool] = False
    error_advice: ClassVar[Sequence[ErrorAdvice]] = ()

    @property
    def name(self) -> str:
        return self.kind.type

    @abstractmethod
    def canonical(
        self, options: Mapping[str, OptionValue | None], known: Vocabulary = UNREAD
    ) -> dict[str, OptionValue | None]:
        """Give every option its one name. Raises InvalidOption.

        `known`: the options of the installed engine, by its own help.
        """

    @abstractmethod
    def check(self, start: Start) -> None:
        """Raises InvalidOption for what can't become a command.

        There is no key yet; a port of 0 is any free one.
        """

    @abstractmethod
    def launch(self, start: Start) -> Launch:
        """Raises InvalidOption as `check` does."""

    def parse_command(self, text: str, known: Vocabulary) -> Parsed:
        """A command line that somebody pastes; `known`: the engine's options.

        Raises InvalidRequest.
        """
        is_ours = partial(is_engine, programs=self.kind.programs)
        return self.parse_pasted(read_pasted(text, is_ours), known)

    def listed_options(self) -> Sequence[EngineOption] | None:
        """None: the engine's own help lists them."""
        return None

    def read_help(self, text: str) -> Sequence[EngineOption]:
        """The options of its instances, by the engine's help; none for another text."""
        return read_help(text)

    def gpus(self, text: str) -> Sequence[str]:
        """The GPUs in what it answers about its devices, for people."""
        return ()

    def program(self, settings: EngineSettings, options: Options) -> str:
        """What to run where the instance has no `command_override`."""
        return settings.command

    def readiness(self, options: Options) -> Readiness:
        return Readiness()

    def guarded_path(self, options: Options) -> str | None:
        """What it answers only to those who have its key, at once and whatever it is about.

        None where nothing shows whether it knows its key.
        """
        return None

    def knows_key(self, options: Options) -> bool:
        return True

    def stop_signal(self, options: Options) -> int:
        return SIGTERM

    def own_devices(self, given: Options, count: int) -> Sequence[int] | None:
        """The GPUs that its options name, by their numbers; None: it takes what it sees.

        `given`: with those of the settings. `count`: how many it would see.
        """
        return None

    def silenced_by(self, words: Sequence[str], environment: Mapping[str, str]) -> str:
        """The option that keeps it from saying why it ends; "" if there is none.

        `words`: its command line. `environment`: counts least.
        """
        return ""

    def served_model(self, options: Options) -> str:
        """What requests must call the model; "": whatever they say will do."""
        return ""

    # What a running engine says of itself; `get` asks it.

    def metrics(self, get: Get) -> Mapping[str, str]:
        """Its numbers in Prometheus's form, by model, "" for its only one."""
        return {}

    def busy_slots(self, get: Get) -> int | None:
        """How many requests it works on; None if it doesn't tell."""
        return None

    def served_models(self, get: Get) -> Mapping[str, ModelInfo]:
        """By its own names; nothing if it doesn't tell."""
        return {}

    # What engines count alike (`observe/engine_numbers.py`), by the name that this one has for it.
    metric_names: ClassVar[Mapping[str, str]] = {}
    # Options that are not what their names say, for what the settings forbid.
    meanings: ClassVar[Meanings] = AS_NAMED
    # Variables of llamactl's own environment that it does not inherit.
    not_inherited: ClassVar[frozenset[str]] = frozenset()
    # It takes long to complain of a model that is not there, and then of something else.
    checks_model_first: ClassVar[bool] = False

    def adapters(self, options: Options) -> Sequence[str]:
        """Names, as it knows them, of the model's adapters that requests can ask for."""
        return ()

    def runs(self, found: Pasted) -> bool:
        """Does a pasted command surely run this engine?"""
        return False

    def parse_pasted(self, found: Pasted, known: Vocabulary) -> Parsed:
        """As `parse_command`, of a text that was read already."""
        raise NotImplementedError

    def asked_for(self, name: str, options: Options) -> str:
        """As `served_model`, of the instance of this name."""
        return self.served_model(options)

    # A line of its log after which it kills itself: then SIGKILL is not somebody else's doing.
    kills_itself: ClassVar[re.Pattern[str] | None] = None


def advice_on(backend: Backend, message: str) -> str:
    """What to do about what the engine answered; "" where nothing is known."""
    known = (known for known in backend.error_advice if known.pattern.search(message))
    return next((found.advice for found in known), "")
