"""From a command line that somebody pastes to an instance's options."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from llamactl.core.errors import InvalidOption, InvalidRequest
from llamactl.core.instance import OptionValue, Scalar
from llamactl.policy.definition.command_values import TRUTHS, mismatch, read_value
from llamactl.policy.definition.engine_help import MANY, EngineOption, Vocabulary
from llamactl.policy.definition.unknown import near, unknown
from llamactl.policy.pasted import Pasted, is_open, plain, read_pasted, within, without_open

Canonical = Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue | None]]
_FLAG = re.compile(r"--?[A-Za-z]")
# Between the engine's program and its flags; `python -m` is before it.
_INTERPRETER = re.compile(r"(?:.*/)?python[\d.]*\Z")
_SERVE = ("serve", "server")
_FOLDERS = re.compile(r"[/\\]")
_DASHES = re.compile(r"[\u2010-\u2015\u2212]+")  # a text processor's, for one hyphen or two
_WINDOWS = re.compile(r"[A-Za-z]:[/\\]|[^/]*\\")
_NUMBER = re.compile(r"-?\d*\.?\d+\Z")
_OURS = {"host": "instances listen on this machine only",
         "port": "llamactl gives each instance a free port",
         "api_key": "each instance has its own key"}  # fmt: skip


@dataclass(slots=True)
class Parsed:
    options: dict[str, OptionValue] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    image: str = ""  # of a container that it was to run in
    command_override: str = ""  # the program, where the line names one of its own
    not_understood: list[str] = field(default_factory=list)  # and why, where there is a reason
    flags: dict[str, str] = field(default_factory=dict)  # of the options, as they were written

    def leave_out(self, name: str, why: str) -> None:
        """An option, `environment.NAME` or `command_override`, that may not be used."""
        if name == "command_override":
            self.command_override = ""
        elif name.startswith("environment."):
            self.environment.pop(name.removeprefix("environment."), None)
        else:
            self.options.pop(name.partition(" ")[0], None)
        if why not in self.not_understood:
            self.not_understood.append(why)


def parse_pasted(found: Pasted, how: Reading, programs: Collection[str]) -> Parsed:
    """`programs`: the engine's own. Raises InvalidRequest for another's command line."""
    parsed = _parsed(found)
    only_flags = all(word.startswith("-") for word in found.words[:1])  # its image has the program
    if found.image and only_flags and not how.serves(found):
        raise _another(f"the container {found.image}", programs)
    words = _without_program(found, programs, parsed)
    if found.image and words and how.picked(found.image, words[0]):
        words = words[1:]
    words = [*_whole_paths(words, how, found.folder)]
    words, unknown = without_open(words, lambda flag: _is_switch(how.known.get(flag)))
    parsed.not_understood += unknown
    _read_flags(words, how, parsed)
    return parsed


def split_command(text: str, keep: Sequence[str] = ()) -> tuple[Parsed, list[str], str]:
    """All words from the program on, whichever it is, and its folder. Raises InvalidRequest.

    `keep`: names that stay as `${NAME}`.
    """
    found = read_pasted(text, lambda word: False, placeholders=keep)
    return _parsed(found), found.words, found.folder


def is_engine(word: str, programs: Collection[str]) -> bool:
    """`llama-server`, `/opt/x/llama-server-vulkan` and `llama-server.exe` for `llama-server`."""
    name = _name(word)
    known = [program.replace("_", "-") for program in programs]
    return name in known or any(name.startswith(f"{one}-") for one in known if "-" in one)


def names_engine(words: Sequence[str], programs: Collection[str]) -> bool:
    """Does this command run that engine, as `llama-server …` and `llama serve …` do?"""
    if not words:
        return False
    by_family = words[1:2] and words[1] in _SERVE and _name(words[0]) == _family(programs)
    return is_engine(words[0], programs) or bool(by_family)


def names_module(words: Sequence[str], programs: Collection[str]) -> bool:
    """Does it run one of these Python programs, by its name or by `python -m`?"""
    if words and _INTERPRETER.match(words[0]):
        words = words[2:] if words[1:2] == ["-m"] else words[1:]
        return bool(words) and (words[0] in programs or is_engine(words[0], programs))
    return bool(words) and is_engine(words[0], programs)


def _name(word: str) -> str:
    return _FOLDERS.split(word)[-1].lower().removesuffix(".exe").replace("_", "-")


def _parsed(found: Pasted) -> Parsed:
    return Parsed(environment=found.environment, image=found.image, not_understood=found.left_out)


def _without_program(found: Pasted, programs: Collection[str], parsed: Parsed) -> list[str]:
    """The words after it. Raises InvalidRequest where it is another engine's."""
    words = [*found.words]
    if words and _INTERPRETER.match(words[0]):
        words = words[2:] if words[1:2] == ["-m"] else words[1:]
    if not words or words[0].startswith("-"):
        return words
    program, *words = words
    is_module = any(program.startswith(f"{one}.") for one in programs)
    is_kin = is_module or _name(program).startswith(_family(programs))
    if not (is_engine(program, programs) or is_kin):
        raise _another(plain(program), programs)
    if words[:1] and words[0] in _SERVE:
        words = words[1:]
    elif not is_engine(program, programs) and not is_module:
        parsed.not_understood.append(f"{plain(program)}: {next(iter(programs))} is used instead")
    if is_engine(program, programs) and not found.image:
        _take_program(program, found.folder, programs, parsed)
    return words


def _another(what: str, programs: Collection[str]) -> InvalidRequest:
    engine = next(iter(programs))
    return InvalidRequest(
        f"the command can't be read: it runs {what}, not {engine}; paste a command that runs "
        f"{engine}, or choose another backend"
    )


def _family(programs: Collection[str]) -> str:
    """`llama` for `llama-server`: `llama serve` is the same engine, `llama-cli` its sibling."""
    return next(iter(programs)).replace("_", "-").partition("-")[0]


def _take_program(program: str, folder: str, programs: Collection[str], parsed: Parsed) -> None:
    if not _FOLDERS.search(program) and _name(program) in map(_name, programs):
        return  # the configured engine
    path = within(folder, program) if _FOLDERS.search(program) else program
    if _WINDOWS.match(program):
        parsed.not_understood.append(
            f"{program}: a program for Windows; the configured engine is used"
        )
    elif is_open(path):
        parsed.not_understood.append(
            f"{plain(program)}: its folder is unknown; the configured engine is used"
        )
    else:
        parsed.command_override = path


def _whole_paths(words: Sequence[str], how: Reading, folder: str) -> Iterator[str]:
    """Relative paths, from the folder in which the command was to run."""
    before = ""
    for word in words:
        flag, equals, value = word.partition("=") if _FLAG.match(word) else (before, "", word)
        if folder and value and (equals or flag is before) and how.takes_path(flag):
            yield f"{flag}=" * bool(equals) + within(folder, value)
        else:
            yield word
        before = word


@dataclass(frozen=True, slots=True)
class Reading:
    """How the flags of one kind of engine are read."""

    known: Mapping[str, EngineOption]  # by flag; where it is empty, what follows one is its value
    canonical: Canonical  # gives options their names; raises InvalidOption
    adding: Collection[str] = ()  # each time that one is given it adds to the former ones
    not_taken: Mapping[str, str] = field(default_factory=dict)  # options, and why
    scaled: Collection[str] = ()  # they take FILE:SCALE, and took FILE SCALE before
    remote: Collection[str] = ()  # options that take a file of another machine
    # Is this word, in this image, what chooses the engine among its programs?
    picked: Callable[[str, str], bool] = lambda image, word: False
    # Does its image, which has the program, run the engine?
    serves: Callable[[Pasted], bool] = lambda found: True

    def takes_path(self, flag: str) -> bool:
        """Of this machine."""
        option = self.known.get(flag)
        return option is not None and option.kind == "path" and option.name not in self.remote


def _read_flags(words: Sequence[str], how: Reading, parsed: Parsed) -> None:
    at = 0
    while at < len(words):
        word = _with_hyphens(words[at], how.known)
        at += 1
        if not _FLAG.match(word):
            if "model" not in parsed.options and at == 1 and word:  # `serve MODEL`
                parsed.options["model"] = word
            elif word not in ("", "--"):
                parsed.not_understood.append(f"{word}: no option takes it")
            continue
        flag, equals, given = word.partition("=")
        option = how.known.get(flag)
        values = [given] if equals else _values(words[at:], option, how.known)
        at += 0 if equals else len(values)
        name = option.name if option else flag
        if name in how.scaled and values and ":" not in values[0]:
            scales = [one for one in words[at : at + 1] if _NUMBER.match(one)]
            values, at = [":".join([values[0], *scales])], at + len(scales)
        if len(values) > 1:
            _take(flag, name, values, how, parsed)
        elif values:
            value = read_value(values[0], option)
            _take(
                flag,
                name,
                value,
                how,
                parsed,
                mismatch(value, option, own_choices=bool(parsed.command_override)),
            )
        elif option:
            _take(flag, name, not option.is_off(flag), how, parsed)
        else:
            name, on = (flag[5:], False) if flag.startswith("--no-") else (flag, True)
            _take(flag, name, on, how, parsed)


def _with_hyphens(word: str, known: Mapping[str, EngineOption]) -> str:
    """A flag that a text processor has changed."""
    dash = _DASHES.match(word)
    if dash is None:
        return word
    rest = word[dash.end() :].lstrip("-")
    short = f"-{rest}"
    return short if short.partition("=")[0] in known else f"--{rest}"


def _is_switch(option: EngineOption | None) -> bool:
    return option is not None and option.kind == "switch"


def _values(
    words: Sequence[str], option: EngineOption | None, known: Mapping[str, EngineOption]
) -> list[str]:
    """The words that follow a flag and belong to it."""
    if _is_switch(option):
        return [*words[:1]] if words and words[0] in TRUTHS else []
    most = option.words if option is not None else 1
    if most == MANY:
        return [*takewhile(lambda word: not _FLAG.match(word), words)]
    found = [*words[:most]]
    return found if len(found) == most and not any(map(_FLAG.match, found)) else []


def _take(
    flag: str, name: str, value: OptionValue, how: Reading, parsed: Parsed, wrong: str = ""
) -> None:
    name = name.lstrip("-").replace("-", "_")
    if why := _OURS.get(name) or how.not_taken.get(name):
        parsed.not_understood.append(f"{flag}: {why}")
        return
    if wrong:
        parsed.not_understood.append(f"{flag} {value}: {wrong}")
        return
    try:
        ((name, one),) = how.canonical({name: value}).items()
    except InvalidOption as exc:
        parsed.not_understood.append(f"{flag}: {exc.message}")
        return
    assert one is not None
    parsed.flags[name] = flag
    before = parsed.options.get(name)
    if before is not None and name in how.adding:
        one = [*_several(before), *_several(one)]
    elif before is not None and before != one and not isinstance(one, bool):
        parsed.not_understood.append(f"{flag}: given more than once; the last one counts")
    parsed.options[name] = one


def _several(value: OptionValue) -> Sequence[Scalar]:
    return [value] if isinstance(value, str | int | float) else value


def leave_unknown_out(parsed: Parsed, known: Vocabulary) -> None:
    """What the engine does not have, by its own help."""
    for name, meant in near(unknown(parsed.options.keys(), known), known).items():
        hint = f", did you mean {meant}?" if meant else ""
        flag = parsed.flags.get(name, f"--{name.replace('_', '-')}")
        parsed.leave_out(name, f"{flag}: the engine has no such option{hint}")
