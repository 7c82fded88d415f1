"""From the lines of a small script to the one command that serves, and what surrounds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from llamactl.policy.pasted.shell import CONTINUED, Shell, Token, is_open, plain

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PROMPT = re.compile(
    r"^[ \t]*(?:(?:PS [^>\n]*>|(?:\([\w.-]+\)[ \t]+)?[\w.-]+@[\w.-]+[: ][^\s$#%]*[ \t]?[$#%]"
    r"|[$>%\u276f\u279c])(?:[ \t]+|$)|[A-Za-z]:\\[^>\n]*>[ \t]*)",
    re.MULTILINE,
)
_SUBSHELL = re.compile(r"\(\s*[\w/.~]")
_ROOT_PROMPT = re.compile(r"^[ \t]*#!?[ \t]*", re.MULTILINE)
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
# What sets variables, and whether its variables are also those of the programs that follow.
_DECLARES: Mapping[str, bool] = {
    "export": True, "declare": False, "typeset": False, "readonly": False, "local": False,
}  # fmt: skip
_EXPORTS = re.compile(r"-[a-zA-Z]*x")
_EXPORTS_NOT = re.compile(r"\+[a-zA-Z]*x|-n\Z")
# What follows them after `&&` happens or not; only a shell knows.
_TESTS = frozenset(
    {"[", "[[", "((", "test", "command", "which", "type", "hash", "grep", "egrep", "!", "false",
     "pgrep", "mountpoint", "nvidia-smi", "cmp", "diff", "ping", "nc"}
)  # fmt: skip
_OPENING = frozenset({"if", "while", "until", "for", "case"})
_CLOSING = frozenset({"fi", "done", "esac"})
_BETWEEN_LINES = _CLOSING | {"then", "else", "do"}
# What prepares a shell, and is over before the command begins.
_PREPARE = frozenset(
    {*_DECLARES, ":", "set", "unset", "cd", "pushd", "source", ".", "ulimit", "umask", "alias",
     "trap", "echo", "@echo", "sleep", "mkdir", "conda", "module", "modprobe", "sysctl", "shopt",
     "read", "printf", "test", "[", "[[", "true", "wait", "exit", "pause", "popd", "setlocal"}
)  # fmt: skip
# At the beginning of a line they begin a command, however the lines before it were broken.
_BEGIN = frozenset(
    {*_DECLARES, "cd", "cmake", "conda", "curl", "docker", "done", "echo", "elif", "else", "esac",
     "exit", "fi", "git", "kill", "make", "pause", "pkill", "podman", "popd", "pushd", "sleep",
     "source", "sudo", "then", "wait", "wget"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Statement:
    words: list[str]
    reads: bool = False  # what another one writes, or runs only if that fails
    unsure: bool = False  # it happens only if a test succeeds


@dataclass(slots=True)
class Found:
    """A script's command, its variables, and what else it does."""

    words: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)  # as people wrote it
    exports: bool = False  # variables that are set from here on, after `set -a`


def command_of(text: str, shell: Shell, serves: Callable[[list[str]], bool]) -> Found:
    """`serves`: is this the command? If none is, it is the last. Raises InvalidRequest."""
    found = Found()
    commands: list[list[str]] = []
    text = _ALIAS.sub("sh -c ", _without_prompts(_without_markdown(text)))
    for one in _statements(_VARIABLE_SET.sub(_exported, text), shell, serves):
        words = one.words
        if one.reads or (one.unsure and _sets(words)):
            found.beside.append(plain(" ".join(words)))
        elif not (shell.runs and _prepares(words, shell, found)):
            commands.append(words)
    holding = (words for words in commands if any(serves([word]) for word in words))
    chosen = next(filter(serves, commands), None) or next(holding, commands[-1] if commands else [])
    found.words = chosen
    found.beside += [plain(" ".join(words)) for words in commands if words is not chosen]
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
    return _ROOT_PROMPT.sub("", text) if _is_at_root_prompt(text) else text


def _is_at_root_prompt(text: str) -> bool:
    """Each line begins with `#`, and nothing would be left without comments."""
    lines = [line.strip() for line in CONTINUED.sub(" ", text).splitlines() if line.strip()]
    is_script = len(lines) > 1 and lines[0].startswith("#!")
    return not is_script and all(line.startswith("#") for line in lines)


def _statements(
    text: str, shell: Shell, serves: Callable[[list[str]], bool]
) -> Iterator[_Statement]:
    words: list[str] = []
    reads = unsure = at_line = False
    blocks = guarded = 0
    for token in shell.tokens(text):
        ends = shell.runs and _ends(token, words)
        if ends or (shell.runs and at_line and words and _begins(token, serves)):
            if words:
                yield _Statement(words, reads, unsure or blocks > 0)
                blocks = max(0, blocks + (words[0] in _OPENING) - (words[0] in _CLOSING))
            if token.text in ("{", "(") and unsure:
                blocks, guarded = blocks + 1, guarded + 1
            elif token.text in ("}", ")") and guarded:
                blocks, guarded = blocks - 1, guarded - 1
            tests = bool(words) and words[0] in _TESTS
            unsure = token.text in ("&&", "||") and (unsure or tests)
            words, reads = [], token.text in ("|", "||")
        if token.kind == "word":
            words.append(token.text)
        elif token.kind == "redirection" and not _NO_FILE.search(token.text):
            yield _Statement([token.text], reads=True)
        at_line = token.kind == "line"
    if words:
        yield _Statement(words, reads, unsure or blocks > 0)


def _sets(words: list[str]) -> bool:
    return words[0] in _DECLARES or all(map(ASSIGNMENT.match, words))


def _begins(token: Token, serves: Callable[[list[str]], bool]) -> bool:
    word = token.text
    return token.kind == "word" and (word in _BEGIN or (word[:1] != "-" and serves([word])))


def _ends(token: Token, words: list[str]) -> bool:
    """A line's end is one only after what prepares: people break lines as they like."""
    if token.kind == "operator":
        return True
    return (
        token.kind == "line"
        and bool(words)
        and (
            words[0] in _PREPARE
            or words[0] == "eval"
            or words[-1] in _BETWEEN_LINES
            or all(map(ASSIGNMENT.match, words))
        )
    )


def _prepares(words: list[str], shell: Shell, found: Found) -> bool:
    """Applies what is for the commands that follow; False: it is one itself."""
    name, *others = words
    if all(map(ASSIGNMENT.match, words)):
        shell.variables.update(_pairs(words))
        found.environment.update(
            {k: v for k, v in _pairs(words).items() if found.exports or k in found.environment}
        )
    elif name == "unset":
        for one in others:
            shell.variables.pop(one, None)
            found.environment.pop(one, None)
    elif name == "set" and others and " ".join(others)[1:] in ("a", "o allexport"):
        found.exports = others[0].startswith("-")
    elif name in _DECLARES:
        _declare(name, others, shell, found)
    elif name in ("cd", "pushd") and others:
        folder = others[-1]
        shell.variables.pop("PWD", None)
        if folder.startswith("/") and not is_open(folder):
            shell.variables["PWD"] = folder.rstrip("/")
        else:
            found.beside.append(plain(" ".join(words)))
    elif (name in _PREPARE and others[:1] != ["run"]) or (
        name == "command" and others[:1] in (["-v"], ["-V"])
    ):  # `conda run`
        found.beside.append(plain(" ".join(words)))
    else:
        return False
    return True


def _declare(by: str, words: list[str], shell: Shell, found: Found) -> None:
    exports = _DECLARES[by] or any(map(_EXPORTS.match, words))
    hides = any(map(_EXPORTS_NOT.match, words))
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            shell.variables[name] = value
        if hides:
            found.environment.pop(name, None)
        elif name in shell.variables and (exports or name in found.environment):
            found.environment[name] = shell.variables[name]


def _pairs(words: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}
