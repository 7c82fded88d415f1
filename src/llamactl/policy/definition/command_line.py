"""From a command line that somebody pastes to an instance's options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.core.instance import OptionValue, Scalar
from llamactl.policy.definition.engine_help import EngineOption, Vocabulary
from llamactl.policy.definition.unknown import near, unknown

Canonical = Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue | None]]
_MOST = 1 << 16  # characters
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_FLAG = re.compile(r"--?[A-Za-z]")
_CONTINUED = re.compile(r"[\\`^][ \t]*\r?\n")
# Words before the engine's own: what runs it.
_RUNNERS = {"sudo", "nohup", "exec", "env", "time", "nice", "uv", "uvx", "run", "python", "python3",
            "-m", "serve"}  # fmt: skip
_DOCKER = ("docker", "podman", "nerdctl")
_DOCKER_SWITCHES = re.compile(
    r"--(rm|detach|interactive|tty|init|privileged|read-only|no-healthcheck|publish-all)\Z|-[ditP]+\Z"
)
_TRUTHS = ("on", "off", "true", "false")
_OURS = {"host": "instances only listen on this machine",
         "api_key": "each instance has its own key"}  # fmt: skip


@dataclass(slots=True)
class Parsed:
    options: dict[str, OptionValue] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    image: str = ""  # of a container that it was to run in
    not_understood: list[str] = field(default_factory=list)  # and why, where there is a reason

    def leave_out(self, name: str, why: str) -> None:
        """An option, or `environment.NAME`, that may not be used."""
        if name.startswith("environment."):
            self.environment.pop(name.removeprefix("environment."), None)
        else:
            self.options.pop(name.partition(" ")[0], None)
        if why not in self.not_understood:
            self.not_understood.append(why)


def parse_command(text: str, how: Reading, programs: Collection[str]) -> Parsed:
    """`programs`: the engine's own. Raises InvalidRequest for what is not a command line."""
    parsed, words = split_command(text)
    while words and (words[0] in _RUNNERS or _is_program(words[0], programs)):
        words = words[1:]
    _read_flags(words, how, parsed)
    return parsed


def split_command(text: str) -> tuple[Parsed, list[str]]:
    """What is before the program, and all words from there on. Raises InvalidRequest."""
    parsed = Parsed()
    words = _without_environment(_words(text), parsed)
    if words and words[0].rpartition("/")[2] in _DOCKER:
        words = _without_docker(words, parsed)
    return parsed, words


def _is_program(word: str, programs: Collection[str]) -> bool:
    return word.removesuffix(".exe").endswith(tuple(programs))


def _words(text: str) -> list[str]:
    if len(text) > _MOST:
        raise InvalidRequest("the command is too long")
    try:
        words = shlex.split(_CONTINUED.sub(" ", text), comments=True)
    except ValueError as exc:
        raise InvalidRequest(f"the command can't be read: {exc}; check its quotes") from exc
    words = [word for word in words if not word or word.strip()]  # "" is a value
    if not words:
        raise InvalidRequest("the command is empty")
    if words[0] in ("$", "#", ">"):
        words = words[1:]
    return words


def _without_environment(words: list[str], parsed: Parsed) -> list[str]:
    at = 0
    while at < len(words) and (_ASSIGNMENT.match(words[at]) or words[at] in ("env", "sudo")):
        name, equals, value = words[at].partition("=")
        if equals:
            parsed.environment[name] = value
        at += 1
    return words[at:]


def _without_docker(words: list[str], parsed: Parsed) -> list[str]:
    """The engine's own words, with the paths that they have outside of the container."""
    volumes: dict[str, str] = {}
    at = 2 if len(words) > 1 and words[1] == "run" else 1
    while at < len(words) and words[at].startswith("-"):
        flag, equals, value = words[at].partition("=")
        if _DOCKER_SWITCHES.match(flag):
            at += 1
            continue
        if not equals:
            at += 1
            value = words[at] if at < len(words) else ""
        at += 1
        _heed_docker(flag, value, volumes, parsed)
    parsed.image = words[at] if at < len(words) else ""
    return [_outside(word, volumes) for word in words[at + 1 :]]


def _heed_docker(flag: str, value: str, volumes: dict[str, str], parsed: Parsed) -> None:
    match flag:
        case "-e" | "--env":
            name, _, text = value.partition("=")
            parsed.environment[name] = text
        case "-v" | "--volume":
            outside, _, inside = value.partition(":")
            volumes[inside.partition(":")[0].rstrip("/")] = outside.rstrip("/")
        case "--mount":
            parts = dict(part.partition("=")[::2] for part in value.split(","))
            inside = parts.get("target") or parts.get("dst") or parts.get("destination") or ""
            volumes[inside.rstrip("/")] = (parts.get("source") or parts.get("src") or "").rstrip(
                "/"
            )
        case _:
            parsed.not_understood.append(f"{flag} {value}: container option")


def _outside(word: str, volumes: Mapping[str, str]) -> str:
    for inside, outside in volumes.items():
        if inside and (word == inside or word.startswith(f"{inside}/")):
            return outside + word[len(inside) :]
    return word


@dataclass(frozen=True, slots=True)
class Reading:
    """How the flags of one kind of engine are read."""

    known: Mapping[str, EngineOption]  # by flag; where it is empty, what follows one is its value
    canonical: Canonical  # gives options their names; raises InvalidOption
    adding: Collection[str] = ()  # each time that one is given it adds to the former ones


def _read_flags(words: Sequence[str], how: Reading, parsed: Parsed) -> None:
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not _FLAG.match(word):
            if "model" not in parsed.options and at == 1 and word:  # `serve MODEL`
                parsed.options["model"] = word
            elif word:
                parsed.not_understood.append(word)
            continue
        flag, equals, given = word.partition("=")
        option = how.known.get(flag)
        values = [given] if equals else _values(words[at:], option, how.known)
        at += 0 if equals else len(values)
        name = option.name if option else flag
        if len(values) > 1:
            _take(flag, name, values, how, parsed)
        elif values:
            _take(flag, name, _value(values[0], option), how, parsed)
        elif option:
            _take(flag, name, not option.is_off(flag), how, parsed)
        else:
            name, on = (flag[5:], False) if flag.startswith("--no-") else (flag, True)
            _take(flag, name, on, how, parsed)


def _values(
    words: Sequence[str], option: EngineOption | None, known: Mapping[str, EngineOption]
) -> list[str]:
    """The words that follow a flag and belong to it."""
    if option is not None and option.kind == "switch":
        return [*words[:1]] if words and words[0] in _TRUTHS else []
    most = option.words if option is not None else 1
    found = [*words[:most]]
    return found if len(found) == most and not any(map(_FLAG.match, found)) else []


def _take(flag: str, name: str, value: OptionValue, how: Reading, parsed: Parsed) -> None:
    name = name.lstrip("-").replace("-", "_")
    if name in _OURS:
        parsed.not_understood.append(f"{flag}: {_OURS[name]}")
        return
    try:
        ((name, one),) = how.canonical({name: value}).items()
    except InvalidOption as exc:
        parsed.not_understood.append(f"{flag}: {exc.message}")
        return
    assert one is not None
    before = parsed.options.get(name)
    if before is not None and name in how.adding:
        one = [*_several(before), *_several(one)]
    elif before is not None and before != one and not isinstance(one, bool):
        parsed.not_understood.append(f"{flag}: given more than once; the last counts")
    parsed.options[name] = one


def _several(value: OptionValue) -> Sequence[Scalar]:
    return [value] if isinstance(value, str | int | float) else value


def _value(text: str, option: EngineOption | None) -> Scalar:
    kind = option.kind if option else None
    if kind == "switch" and text.lower() in _TRUTHS:
        return text.lower() in ("on", "true")
    if kind in ("integer", "number") and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if kind is None and re.fullmatch(r"0|-?[1-9]\d{0,17}", text):  # and no mask such as 0011
        return int(text)
    if kind in (None, "integer", "number") and re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text):
        return float(text)
    return text


def leave_unknown_out(parsed: Parsed, known: Vocabulary) -> None:
    """What the engine does not have, by its own help."""
    for name, meant in near(unknown(parsed.options.keys(), known), known).items():
        hint = f", did you mean {meant}?" if meant else ""
        flag = f"--{name.replace('_', '-')}"
        parsed.leave_out(name, f"{flag}: the engine has no such option{hint}")
