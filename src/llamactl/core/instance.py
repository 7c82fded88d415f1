"""What people define: an instance, its options, and the defaults that fill them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from llamactl.core.errors import InvalidRequest

Scalar = str | int | float | bool
OptionValue = Scalar | Sequence[Scalar]
# Engine options with the file of a model that is named by its repository. Raises UnknownModel.
Resolve = Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue]]

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 128
_ROOM = 120  # of them, where a number may follow
_REPLICA = "@"  # no name has it
_NODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?\Z", re.ASCII)  # a label of Ray
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", re.ASCII)


def check_name(name: str) -> str:
    """Return the name, or raise InvalidRequest.

    The rule keeps a name safe as a file's name and as a part of a path.
    """
    if not _NAME.match(name):
        raise InvalidRequest(
            f"invalid instance name {name[:140]!r}: start with a letter or digit, "
            "then use letters, digits, '.', '_' or '-', at most 128 characters",
            details={"fields": ["name"]},
        )
    return name


def check_node(name: str) -> str:
    """As `check_name`, of a node."""
    if not _NODE.match(name):
        raise InvalidRequest(
            f"invalid node name {name[:140]!r}: start with a letter or digit, then use letters, "
            "digits, '.' or '-', at most 63 characters"
        )
    return name


def nearest_name(text: str) -> str:
    """What an instance may be called for whom people call otherwise; short enough for a number."""
    found = _NOT_IN_NAMES.sub("-", text).strip("-._")[:_ROOM].strip("-._")
    return found or "model"


def name_key(name: str) -> str:
    """Names are unique without regard to case."""
    return name.lower()


CONTAINER_ENGINES = ("auto", "docker", "podman")
KEEP_CONTEXT = ("auto", "on", "off")
IDLE_ACTIONS = ("stop", "sleep")
PULLS = ("never", "missing", "always")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine, in a container."""

    source: str
    target: str
    writable: bool = False

    @classmethod
    def of(cls, text: str) -> Mount:
        """From `/here`, `/here:/inside` or `/here:/inside:rw`. Raises ValueError."""
        source, *rest = text.split(":")
        if len(rest) > 1 and rest[-1] not in ("ro", "rw"):
            raise ValueError(f"{rest[-1]!r} is neither ro nor rw")
        target = rest[0] if rest else source
        if len(rest) > 2 or not source.startswith("/") or not target.startswith("/"):  # noqa: PLR2004
            raise ValueError("both paths must begin with a slash, with one colon between them")
        return cls(source, target, writable=rest[1:] == ["rw"])


@dataclass(frozen=True, slots=True)
class Container:
    """What is left empty comes from the settings, or is what the image says."""

    image: str = ""
    engine: str = "auto"  # one of CONTAINER_ENGINES
    args: Sequence[str] = ()  # for the container engine, before the image
    mounts: Sequence[str] = ()  # as `Mount.of` reads them
    gpus: str = ""  # `all`, a number, or `device=0,1`
    env: Mapping[str, str] = field(default_factory=dict)
    pull: str = "never"  # one of PULLS

    def __post_init__(self) -> None:
        for name in ("args", "mounts"):  # which come as lists from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def given(self) -> dict[str, Any]:
        """Its fields that say something, as in JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        blank = Container()
        return {
            name: [*value] if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != getattr(blank, name)
        }


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """What was given for an instance. None: not given, the default of the settings counts."""

    backend_type: str = ""  # "": the default one
    backend_options: Mapping[str, OptionValue] = field(default_factory=dict)
    auto_restart: bool | None = None
    max_restarts: int | None = None
    restart_delay: float | None = None  # seconds
    on_demand_start: bool | None = None
    idle_timeout: float | None = None  # minutes, 0 = never
    environment: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    pinned: bool = False
    priority: int = 0  # those with a lower one are evicted first
    command_override: str = ""
    die_with_parent: bool = False  # ends with llamactl, instead of being adopted by the next one
    aliases: Sequence[str] = ()  # other names of it, for requests
    default_params: Mapping[str, Any] = field(default_factory=dict)  # of requests that say nothing
    set_params: Mapping[str, Any] = field(default_factory=dict)  # of requests, whatever they say
    strip_params: Sequence[str] = ()  # taken out of requests
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by id: `set_params`
    preset_ini: str = ""  # of an engine that serves several models: what its file would say
    docker_enabled: bool | None = None  # run it in the settings' image, or in none
    container: Container | None = None  # its own
    keep_context: str = ""  # one of KEEP_CONTEXT; "": as the settings say
    idle_action: str = ""  # one of IDLE_ACTIONS; "": it stops
    warm_up: Mapping[str, Any] = field(default_factory=dict)  # `path` and `body` of a request
    preload: bool = False  # started once after a boot, where there is room
    nodes: Sequence[str] = ()  # names of the machines that it may run on; none: on all
    node_labels: Mapping[str, str] = field(default_factory=dict)  # that such a machine must have
    # how many of it are to run, or `min` and `max` by its load; None: one
    replicas: int | Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.container, Mapping):  # which comes so from JSON
            object.__setattr__(self, "container", Container(**self.container))
        for name in ("aliases", "strip_params", "nodes"):  # which come as lists from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def other_names(self) -> tuple[str, ...]:
        """By which requests can ask for it: they share one namespace with all names."""
        return (*self.aliases, *self.variants)

    @property
    def replica_range(self) -> tuple[int, int]:
        """The fewest that are to run, and the most."""
        given = 1 if self.replicas is None else self.replicas
        return (given, given) if isinstance(given, int) else (given["min"], given["max"])

    def of_variant(self, variant: str) -> InstanceOptions:
        """With what the variant sets in requests, beside what is set in all of them."""
        set_params = self.variants[variant].get("set_params", {})
        return replace(self, set_params={**self.set_params, **set_params}, variants={})


@dataclass(frozen=True, slots=True)
class OptionDefaults:
    """The settings' `instances.default_*`, filled in where an instance says nothing."""

    auto_restart: bool = True
    max_restarts: int = 3
    restart_delay: float = 5.0  # seconds
    on_demand_start: bool = True
    idle_timeout: float = 30.0  # minutes, 0 = never
    keep_context: str = "auto"


@dataclass(frozen=True, slots=True)
class Instance:
    id: str
    name: str
    created: int  # Unix seconds
    options: InstanceOptions
    port: int | None = None
    source: str = ""  # whose set it belongs to: of files, or "" for what people make one by one

    @property
    def model_name(self) -> str:
        """What it answers for: its name, or that of the instance that it is a replica of."""
        return replica_of(self.name) or self.name

    @property
    def others(self) -> list[Instance]:
        """Its replicas besides the first, which is the instance itself.

        Requests find them by its name, so they have no other names.
        """
        options = replace(self.options, aliases=(), variants={}, preload=False, replicas=None)
        return [
            replace(
                self, id=f"{self.id}-{n}", name=f"{self.name}{_REPLICA}{n}", options=options,
                port=None,
            )
            for n in range(2, self.options.replica_range[1] + 1)
        ]  # fmt: skip


def instance_id_of(replica_id: str) -> str:
    """The ID of the instance that this is one more replica of."""
    return replica_id.rpartition("-")[0]


def replica_of(name: str) -> str:
    """The name of the instance that this is one more replica of; "" if it is none."""
    instance, found, _ = name.rpartition(_REPLICA)
    return instance if found else ""


def replica_number(name: str) -> int:
    """From 1."""
    _, found, number = name.rpartition(_REPLICA)
    return int(number) if found else 1


@dataclass(frozen=True, slots=True)
class Policies:
    """An instance's options with the defaults filled in."""

    auto_restart: bool
    max_restarts: int
    restart_delay: float  # seconds
    on_demand_start: bool
    idle_timeout: float  # seconds, 0 = never
    keep_context: bool  # where its engine can
    sleeps: bool  # rather than stop, where its engine can


T = TypeVar("T")


def _pick(given: T | None, default: T) -> T:
    return default if given is None else given


def policies(options: InstanceOptions, defaults: OptionDefaults) -> Policies:
    return Policies(
        auto_restart=_pick(options.auto_restart, defaults.auto_restart),
        max_restarts=_pick(options.max_restarts, defaults.max_restarts),
        restart_delay=_pick(options.restart_delay, defaults.restart_delay),
        on_demand_start=_pick(options.on_demand_start, defaults.on_demand_start),
        idle_timeout=_pick(options.idle_timeout, defaults.idle_timeout) * 60.0,
        keep_context=(options.keep_context or defaults.keep_context) != "off",
        sleeps=options.idle_action == "sleep",
    )


def check_replicas(instance: Instance) -> None:
    """Raises InvalidRequest."""
    if not (others := instance.others):
        return
    if instance.options.backend_options.get("port") is not None:
        raise InvalidRequest("'port' can't be given for several replicas; leave it out")
    if len(others[-1].name) > _LONGEST_NAME:
        raise InvalidRequest(
            f"the name is too long for {len(others) + 1} replicas, whose names end in a number; "
            "choose a shorter one"
        )
