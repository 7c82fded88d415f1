"""From a command line that somebody pastes to an instance's options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.core.instance import OptionValue, Scalar
from llamactl.policy.definition.engine_help import EngineOption

_MOST = 1 << 16  # characters
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_FLAG = re.compile(r"--?[A-Za-z]")
_CONTINUED = re.compile(r"[ \t]*[\\`^][ \t]*\r?\n")
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


def parse_command(
    text: str,
    known: Mapping[str, EngineOption],
    canonical: Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue | None]],
    programs: Collection[str],
) -> Parsed:
    """`known`: the engine's options by flag; where it is empty, words after a flag are its value.

    `programs`: the engine's own. Raises InvalidRequest for what is not a command line.
    """
    parsed, words = split_command(text)
    while words and (words[0] in _RUNNERS or _is_program(words[0], programs)):
        words = words[1:]
    _read_flags(words, known, canonical, parsed)
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
    words = [word for word in words if word.strip()]
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


def _read_flags(
    words: Sequence[str],
    known: Mapping[str, EngineOption],
    canonical: Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue | None]],
    parsed: Parsed,
) -> None:
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not _FLAG.match(word):
            if "model" not in parsed.options and at == 1:  # `serve MODEL`
                parsed.options["model"] = word
            else:
                parsed.not_understood.append(word)
            continue
        flag, equals, value = word.partition("=")
        option = known.get(flag)
        follows = words[at] if at < len(words) else ""
        if not equals and _is_value(follows, option):
            value, equals = follows, "="
            at += 1
        if equals:
            _take(flag, option.name if option else flag, _value(value, option), canonical, parsed)
        elif option:
            _take(flag, option.name, not option.is_off(flag), canonical, parsed)
        else:
            name, on = (flag[5:], False) if flag.startswith("--no-") else (flag, True)
            _take(flag, name, on, canonical, parsed)


def _is_value(word: str, option: EngineOption | None) -> bool:
    if option is not None and option.kind == "switch":
        return word in _TRUTHS
    return bool(word) and not _FLAG.match(word)


def _take(
    flag: str,
    name: str,
    value: Scalar,
    canonical: Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue | None]],
    parsed: Parsed,
) -> None:
    name = name.lstrip("-").replace("-", "_")
    if name in _OURS:
        parsed.not_understood.append(f"{flag}: {_OURS[name]}")
        return
    try:
        ((name, one),) = canonical({name: value}).items()
    except InvalidOption as exc:
        parsed.not_understood.append(f"{flag}: {exc.message}")
        return
    assert one is not None
    before = parsed.options.get(name)
    if before is None:
        parsed.options[name] = one
    elif isinstance(one, str | int | float):
        several = (
            before if isinstance(before, Sequence) and not isinstance(before, str) else [before]
        )
        parsed.options[name] = [*several, one]


def _value(text: str, option: EngineOption | None) -> Scalar:
    kind = option.kind if option else None
    if kind == "switch":
        return text.lower() in ("on", "true", "1", "yes")
    if kind in (None, "integer", "number") and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if kind in (None, "integer", "number") and re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", text):
        return float(text)
    return text
