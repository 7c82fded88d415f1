"""From the lines of a small script to the one command that serves, and what surrounds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from llamactl.policy.pasted.shell import Shell, Token, is_open, plain

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PROMPT = re.compile(
    r"^[ \t]*(?:PS [^>\n]*>|[\w.-]+@[\w.-]+:[^\s$#]*[$#]|[$>%])(?:[ \t]+|$)", re.MULTILINE
)
_ROOT_PROMPT = re.compile(r"\s*#!?[ \t]*(?=[^\n]*\Z)")
_NO_FILE = re.compile(r"&\d\Z|/dev/null\Z")
# What prepares a shell, and is over before the command begins.
_PREPARE = frozenset(
    {"export", "set", "unset", "cd", "pushd", "source", ".", "ulimit", "umask", "alias", "trap",
     "echo", "sleep", "mkdir", "conda", "module", "modprobe", "sysctl", "shopt", "eval", "read",
     "printf", "declare", "local", "test", "[", "true", "wait", "exit"}
)  # fmt: skip


@dataclass(slots=True)
class Found:
    """A script's command, its variables, and what else it does."""

    words: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)  # as people wrote it


def command_of(text: str, shell: Shell, serves: Callable[[list[str]], bool]) -> Found:
    """`serves`: is this the command? If none is, it is the last. Raises InvalidRequest."""
    found = Found()
    commands: list[list[str]] = []
    for words, piped in _statements(_without_prompts(text), shell):
        if piped:
            found.beside.append(" ".join(words))
        elif not (shell.runs and _prepares(words, shell, found)):
            commands.append(words)
    chosen = next((words for words in commands if serves(words)), commands[-1] if commands else [])
    found.words = chosen
    found.beside += [" ".join(words) for words in commands if words is not chosen]
    return found


def _without_prompts(text: str) -> str:
    if _PROMPT.match(text.lstrip()):
        text = _PROMPT.sub("", text)
    one_line = "\n" not in text.strip()
    return _ROOT_PROMPT.sub("", text, count=1) if one_line and text.lstrip()[:1] == "#" else text


def _statements(text: str, shell: Shell) -> Iterator[tuple[list[str], bool]]:
    """The words of each, and whether it only reads what another writes."""
    words: list[str] = []
    piped = False
    for token in shell.tokens(text):
        if token.kind == "word":
            words.append(token.text)
        elif token.kind == "redirection":
            if not _NO_FILE.search(token.text):
                yield [token.text], True
        elif shell.runs and _ends(token, words):
            if words:
                yield words, piped
            words = []
            piped = token.text in ("|", "||")
    if words:
        yield words, piped


def _ends(token: Token, words: list[str]) -> bool:
    """A line's end is one only after what prepares: people break lines as they like."""
    if token.kind == "operator":
        return True
    return bool(words) and (words[0] in _PREPARE or all(map(ASSIGNMENT.match, words)))


def _prepares(words: list[str], shell: Shell, found: Found) -> bool:
    """Applies what is for the commands that follow; False: it is one itself."""
    name, *others = words
    if all(map(ASSIGNMENT.match, words)):
        shell.variables.update(_pairs(words))
        found.environment.update({k: v for k, v in _pairs(words).items() if k in found.environment})
    elif name in ("export", "declare"):
        _export(others, shell, found)
    elif name in ("cd", "pushd") and others:
        folder = others[-1]
        shell.variables.pop("PWD", None)
        if folder.startswith("/") and not is_open(folder):
            shell.variables["PWD"] = folder.rstrip("/")
        else:
            found.beside.append(plain(" ".join(words)))
    elif name in _PREPARE and others[:1] != ["run"]:  # `conda run`
        found.beside.append(plain(" ".join(words)))
    else:
        return False
    return True


def _export(words: list[str], shell: Shell, found: Found) -> None:
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            shell.variables[name] = found.environment[name] = value
        elif name in shell.variables:
            found.environment[name] = shell.variables[name]


def _pairs(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}
