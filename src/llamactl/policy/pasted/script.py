"""From the lines of a small script to the one command that serves, and what surrounds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from llamactl.policy.pasted.shell import Shell, Token, is_open, plain

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PROMPT = re.compile(
    r"^[ \t]*(?:(?:PS [^>\n]*>|(?:\([\w.-]+\)[ \t]+)?[\w.-]+@[\w.-]+[: ][^\s$#%]*[ \t]?[$#%]"
    r"|[$>%\u276f\u279c])(?:[ \t]+|$)|[A-Za-z]:\\[^>\n]*>[ \t]*)",
    re.MULTILINE,
)
_SUBSHELL = re.compile(r"\(\s*[\w/.~]")
_ROOT_PROMPT = re.compile(r"\s*#!?[ \t]*(?=[^\n]*\Z)")
_FENCE = re.compile(r"^[ \t]*```[^\n`]*$", re.MULTILINE)  # of Markdown
_CODE = re.compile(r"\s*`([^`\n]+)`\s*")
# `$env:NAME = "value"` of PowerShell, `set NAME=value` of cmd.
_VARIABLE_SET = re.compile(
    r"(?:^|(?<=;)|(?<=&))[ \t]*"
    r"(?:\$env:(?P<power>[A-Za-z_]\w*)[ \t]*=[ \t]*|set[ \t]+(?P<cmd>\"?[A-Za-z_]\w*)=)",
    re.MULTILINE | re.IGNORECASE,
)
_ALIAS = re.compile(r"^[ \t]*alias[ \t]+[\w.-]+=(?=['\"])", re.MULTILINE)
_NO_FILE = re.compile(r"&\d\Z|/dev/null\Z")
# What prepares a shell, and is over before the command begins.
_PREPARE = frozenset(
    {"export", "set", "unset", "cd", "pushd", "source", ".", "ulimit", "umask", "alias", "trap",
     "echo", "@echo", "sleep", "mkdir", "conda", "module", "modprobe", "sysctl", "shopt", "read",
     "printf", "declare", "local", "test", "[", "true", "wait", "exit", "pause", "popd", "setlocal"}
)  # fmt: skip
# At the beginning of a line they begin a command, however the lines before it were broken.
_BEGIN = frozenset(
    {"cd", "cmake", "conda", "curl", "docker", "done", "echo", "elif", "else", "esac", "exit",
     "export", "fi",
     "git", "kill", "make", "pause", "pkill", "podman", "popd", "pushd", "sleep", "source", "sudo",
     "then", "wait", "wget"}
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
    text = _ALIAS.sub("sh -c ", _without_prompts(_without_markdown(text)))
    for words, piped in _statements(_VARIABLE_SET.sub(_exported, text), shell, serves):
        if piped:
            found.beside.append(" ".join(words))
        elif not (shell.runs and _prepares(words, shell, found)):
            commands.append(words)
    holding = (words for words in commands if any(serves([word]) for word in words))
    chosen = next(filter(serves, commands), None) or next(holding, commands[-1] if commands else [])
    found.words = chosen
    found.beside += [" ".join(words) for words in commands if words is not chosen]
    return found


def _without_markdown(text: str) -> str:
    text = _FENCE.sub("", text)
    whole = _CODE.fullmatch(text)
    return whole[1] if whole else text


def _exported(found: re.Match[str]) -> str:
    return f" export {found['power'] or found['cmd']}="


def _without_prompts(text: str) -> str:
    if _PROMPT.match(text.lstrip()):
        text = _PROMPT.sub("", text)
    whole = text.strip().removesuffix("&").rstrip()
    if _SUBSHELL.match(whole) and whole.endswith(")"):
        text = whole[1:-1]
    one_line = "\n" not in text.strip()
    return _ROOT_PROMPT.sub("", text, count=1) if one_line and text.lstrip()[:1] == "#" else text


def _statements(
    text: str, shell: Shell, serves: Callable[[list[str]], bool]
) -> Iterator[tuple[list[str], bool]]:
    """The words of each, and whether it only reads what another writes."""
    words: list[str] = []
    piped = at_line = False
    for token in shell.tokens(text):
        if token.kind == "word":
            if shell.runs and words and at_line and _begins(token.text, serves):
                yield words, piped
                words, piped = [], False
            words.append(token.text)
        elif token.kind == "redirection":
            if not _NO_FILE.search(token.text):
                yield [token.text], True
        elif shell.runs and _ends(token, words):
            if words:
                yield words, piped
            words = []
            piped = token.text in ("|", "||")
        at_line = token.kind == "line"
    if words:
        yield words, piped


def _begins(word: str, serves: Callable[[list[str]], bool]) -> bool:
    return word in _BEGIN or (word[:1] != "-" and serves([word]))


def _ends(token: Token, words: list[str]) -> bool:
    """A line's end is one only after what prepares: people break lines as they like."""
    if token.kind == "operator":
        return True
    return bool(words) and (
        words[0] in _PREPARE or words[0] == "eval" or all(map(ASSIGNMENT.match, words))
    )


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
