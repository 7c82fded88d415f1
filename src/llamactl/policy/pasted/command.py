"""From a pasted text to the words of the program that it runs in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.containers import PROGRAMS, Contained, is_run, mounted, outside, unpack
from llamactl.policy.pasted.declared_containers import read_container
from llamactl.policy.pasted.script import ASSIGNMENT, command_of
from llamactl.policy.pasted.shell import Shell, is_open, open_word, plain
from llamactl.policy.pasted.units import is_unit, read_unit
from llamactl.policy.pasted.wrappers import NAME_IT, NOT_THE_COMMAND, WRAPPERS, Wrapper, unwrap

_MOST = 1 << 16  # characters
_MOST_WORDS = 4096  # of one command
_DEEPEST = 12  # wrappers in wrappers


@dataclass(slots=True)
class Pasted:
    """What a text comes to. Words in which something is unknown here are marked (`is_open`)."""

    words: list[str] = field(default_factory=list)  # from the program on
    environment: dict[str, str] = field(default_factory=dict)
    image: str = ""  # of a container that it was to run in
    gpus: str = ""  # that the container was to have
    container_options: list[str] = field(default_factory=list)  # what else it may use
    volumes: dict[str, str] = field(default_factory=dict)  # its folders, and which they are outside
    left_out: list[str] = field(default_factory=list)  # and why
    folder: str = ""  # in which it was to run; "" where that is not known


def read_pasted(
    text: str,
    is_engine: Callable[[str], bool],
    *,
    placeholders: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    shell: bool = True,
) -> Pasted:
    """`is_engine`: is this word the program that it is about?

    `placeholders`: names that stay as `${NAME}`. `environ`: the environment in which the
    text runs, where it is known. `shell`: a shell is to read the text. Raises InvalidRequest.
    """
    if len(text) > _MOST:
        raise InvalidRequest("the command is too long")
    knows = Shell(_home(), {}, frozenset(placeholders), shell)
    reader = _Reader(knows, is_engine, environ or {})
    reader.read(text)
    if not reader.pasted.words and not reader.pasted.image:
        raise InvalidRequest("the command is empty")
    return reader.pasted


def _home() -> str:
    """Of llamactl's user, who is its engines' user too."""
    try:
        return str(Path.home())
    except RuntimeError:  # this user has none
        return "~"


class _Reader:
    """Unwraps one text, layer by layer."""

    def __init__(
        self, shell: Shell, is_engine: Callable[[str], bool], environ: Mapping[str, str]
    ) -> None:
        self._shell = shell
        self._is_engine = is_engine
        self._environ = environ
        self._volumes: dict[str, str] = {}
        self.pasted = Pasted()

    def read(self, text: str) -> None:
        if is_unit(text):
            unit = read_unit(text, self._shell, self._is_engine)
            self._set(unit.environment)
            self._leave_out(unit.beside, "of the unit; llamactl runs the command itself")
            words = unit.words
        elif contained := read_container(text, self._shell, self._is_engine):
            words = self._enter(contained)
        else:
            words = self._script(text)
        self._unwrap(words)

    def _script(self, text: str) -> list[str]:
        found = command_of(text, self._shell, self._serves)
        self._set(found.environment)
        self._leave_out(found.beside, "llamactl runs no shell")
        _check_length(found.words)
        return found.words

    def _serves(self, words: list[str]) -> bool:
        for _ in range(_DEEPEST):
            at = next((n for n, word in enumerate(words) if not ASSIGNMENT.match(word)), 0)
            words = words[at:]
            name = PurePosixPath(words[0]).name if words else ""
            if name in PROGRAMS:
                return is_run(words)
            wrapper = WRAPPERS.get(name)
            if wrapper is None:
                break
            if wrapper.refused:
                return wrapper.is_far and any(map(self._is_engine, words))
            found = unwrap(words, wrapper)
            if found.script is not None or _is_script(found.words):
                return True
            words = found.words
        return bool(words) and self._is_engine(words[0])

    def _leave_out(self, found: Sequence[str], why: str) -> None:
        self.pasted.left_out += [f"{plain(one)}: {why}" for one in found]

    def _unwrap(self, words: list[str]) -> None:
        _check_length(words)
        for _ in range(_DEEPEST):
            words = self._without_assignments(words)
            name = PurePosixPath(words[0]).name if words else ""
            if name in PROGRAMS:
                words = self._without_container(words)
            elif wrapper := WRAPPERS.get(name):
                inner = self._without(wrapper, words)
                if inner is words:
                    break
                words = inner
            else:
                break
            if _is_script(words):
                words = self._script(words[0])
        else:
            raise InvalidRequest("the command can't be read: too many programs run each other")
        self.pasted.words = self._outside(self._without_strangers(words))
        (self.pasted.folder,) = self._outside([self._shell.variables.get("PWD", "")])

    def _outside(self, words: Sequence[str]) -> list[str]:
        return outside(words, self._volumes)

    def _without_assignments(self, words: list[str]) -> list[str]:
        at = 0
        while at < len(words) and ASSIGNMENT.match(words[at]):
            name, _, value = words[at].partition("=")
            self._set({name: value})
            if not is_open(value):
                self._shell.variables[name] = value
            at += 1
        return words[at:]

    def _set(self, given: Mapping[str, str]) -> None:
        """Variables of the engine, but for those whose value is not known here."""
        for name, value in given.items():
            if is_open(f"{name}={value}"):
                self._leave_out([f"{name}={value}"], "llamactl does not know its value")
            else:
                self.pasted.environment[name] = value

    def _without(self, wrapper: Wrapper, words: list[str]) -> list[str]:
        """The same words where they mean nothing without it."""
        if wrapper.refused:
            raise InvalidRequest(f"the command can't be read: {words[0]}: {wrapper.refused}")
        found = unwrap(words, wrapper, self._is_engine)
        runs_file = wrapper.runs_files and found.script is None
        if runs_file or (wrapper.provides and not any(map(self._is_engine, found.words[:1]))):
            return words
        self._set(found.environment)
        self._volumes |= mounted(found.mounts)
        if wrapper.lost:
            self._leave_out([" ".join(found.own)], wrapper.lost)
        if found.script is None:
            return found.words
        self._shell.runs = True
        return self._script(found.script)

    def _without_container(self, words: list[str]) -> list[str]:
        if not is_run(words):
            raise InvalidRequest(
                f"the command can't be read: {plain(' '.join(words[:3]))}: {NOT_THE_COMMAND}"
            )
        return self._enter(unpack(words))

    def _enter(self, found: Contained) -> list[str]:
        """Its words for the program in it."""
        here = self._shell.variables.pop("PWD", "")
        self.pasted.image, self.pasted.gpus = plain(found.image), plain(found.gpus)
        self._volumes = {
            inside: within(here, folder) if here and folder[:1] == "." else folder
            for inside, folder in found.volumes.items()
        }
        self.pasted.volumes = dict(self._volumes)
        self.pasted.container_options = [*map(plain, found.options)]
        if found.folder:
            self._shell.variables["PWD"] = found.folder
        self.pasted.left_out += map(plain, found.left_out)
        values = self._outside([*found.environment.values()])
        for name, value in zip(found.environment, values, strict=True):
            self._without_assignments([f"{name}={value}"])
        for name, written in found.passed_on.items():
            if name in self._environ:
                self.pasted.environment[name] = self._environ[name]
            else:
                self._leave_out([written], "its value is not in the line; write "
                                f"{name}=VALUE, or set it in the environment")  # fmt: skip
        return found.words

    def _without_strangers(self, words: list[str]) -> list[str]:
        """Without words before the engine's program that are in no table."""
        if not words or words[0].startswith("-") or self._is_engine(words[0]):
            return words
        if PurePosixPath(words[0]).name in NAME_IT:
            return words
        names = (n for n, word in enumerate(words) if self._is_engine(word) and word[0] != "-")
        at = next(names, 0)
        if at:
            self._leave_out([" ".join(words[:at])], "llamactl runs the engine without it")
        return words[at:]


def _check_length(words: Sequence[str]) -> None:
    if len(words) > _MOST_WORDS:
        raise InvalidRequest(
            f"the command can't be read: it has more than {_MOST_WORDS} words; shorten it"
        )


def _is_script(words: Sequence[str]) -> bool:
    """`tmux new 'the command'`"""
    return len(words) == 1 and " " in words[0].strip() and not is_open(words[0])


def within(folder: str, path: str) -> str:
    """A relative path, from the folder in which the command was to run; open if that is unknown."""
    if path.startswith("/"):
        return path
    return str(PurePosixPath(folder, path)) if folder else open_word(path)


def without_open(
    words: Sequence[str], is_switch: Callable[[str], bool] = lambda flag: False
) -> tuple[list[str], list[str]]:
    """Without values in which something is unknown, and their flags; and what was left out.

    `is_switch`: does this flag take no value?
    """
    kept: list[str] = []
    left_out: list[str] = []
    for word in words:
        if not is_open(word):
            kept.append(word)
            continue
        before = kept[-1] if kept else ""
        own = before[:1] == "-" and "=" not in before and not is_switch(before)
        flag = f"{kept.pop()} " if own and not word.startswith("-") else ""
        left_out.append(
            f"{flag}{plain(word)}: llamactl does not know what that is here; write it in full"
        )
    return kept, left_out
