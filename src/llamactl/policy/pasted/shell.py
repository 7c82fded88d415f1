"""A text's words, as a POSIX shell splits it, for one who cannot run the shell.

What only a running shell can know, such as `$(pwd)`, stays in its word, marked (`is_open`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from llamactl.core.errors import InvalidRequest

_OPEN, _CLOSE = "\ue000", "\ue001"  # around what is not known; private, so no text has them
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_CONTINUED = re.compile(r"[\\`^][ \t]*\r?\n")  # of POSIX, PowerShell and cmd
_WINDOWS = re.compile(r"\.exe\b|(?:^|[\s\"'])[A-Za-z]:\\", re.IGNORECASE)
_BETWEEN = " \t\r\n"
_BLANK = re.compile(r"[ \t\r]+")
_COMMENT = re.compile(r"#[^\n]*")
# Inside a word, `;` and `|` are characters: people paste from files that no shell reads.
_OPERATOR = re.compile(r"&&|\|\|(?!\S)|;;?(?=\s|\Z)|[|&()](?=\s|\Z)")
_TO_FILL_IN = re.compile(r"<[^\s<>]+>")  # by the reader
_REDIRECTION = re.compile(r"(?:\d|&)?(?:>{1,2}\|?|<{1,3}(?![^\s<>]+>))(?:&\d|[ \t]*[^\s;&|]+)?")
_PLAIN = re.compile(r"[^ \t\r\n'\"\\$`;&]+")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE_PART = re.compile(r'[^"\\$`]+')
_SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?-([^{}]*))?\})")
_TILDE = re.compile(r"~(?=/|\Z)")
_TILDE_AS_VALUE = re.compile(r"(?<==)~(?=/|\Z)")

Kind = Literal["word", "operator", "redirection", "line"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str


def is_open(text: str) -> bool:
    """Is something in it that only a shell could fill in?"""
    return _OPEN in text


def plain(text: str) -> str:
    """As people wrote it."""
    return _MARKS.sub("", text)


def open_word(text: str) -> str:
    """What is not known here, as a word or a part of one."""
    return f"{_OPEN}{text}{_CLOSE}"


@dataclass(slots=True)
class Shell:
    """What a shell would know while it reads."""

    home: str
    variables: dict[str, str]
    placeholders: frozenset[str] = frozenset()  # `${NAME}` that stay as they are
    runs: bool = True  # the text is for a shell: `&&` and `>` mean something

    def tokens(self, text: str) -> Iterator[Token]:
        """Lazily: a variable that is set in between counts from there on.

        Raises InvalidRequest for quotes that don't end.
        """
        return _tokens(_MARKS.sub("", _CONTINUED.sub(" ", text)), self)

    def value(self, name: str) -> str | None:
        return self.variables.get(name, self.home if name == "HOME" else None)


def _tokens(text: str, shell: Shell) -> Iterator[Token]:
    windows = _WINDOWS.search(text) is not None
    at = 0
    while at < len(text):
        if found := _BLANK.match(text, at):
            at = found.end()
        elif text[at] == "\n":
            yield Token("line", "\n")
            at += 1
        elif found := _COMMENT.match(text, at):
            at = found.end()
        elif shell.runs and (found := _OPERATOR.match(text, at)):
            yield Token("operator", found[0])
            at = found.end()
        elif shell.runs and (found := _REDIRECTION.match(text, at)):
            yield Token("redirection", found[0])
            at = found.end()
        else:
            begin = at
            word, at = _word(text, at, shell, windows=windows)
            yield Token("word", open_word(word) if _TO_FILL_IN.fullmatch(text, begin, at) else word)


def _word(text: str, at: int, shell: Shell, *, windows: bool) -> tuple[str, int]:
    """The word that begins there, and where it ends."""
    parts: list[str] = []
    begin = at
    while at < len(text) and text[at] not in _BETWEEN:
        if found := _PLAIN.match(text, at):
            parts.append(_with_home(found[0], shell, begins=at == begin))
            at = found.end()
        elif found := _SINGLE.match(text, at):
            parts.append(found[1])
            at = found.end()
        elif text[at] == '"':
            part, at = _double(text, at + 1, shell, windows=windows)
            parts.append(part)
        elif text[at] == "\\" and not windows:
            parts.append(text[at + 1 : at + 2])
            at += 2
        elif text[at] == "'":
            raise _unclosed()
        elif text[at] in "$`":
            part, at = _filled_in(text, at, shell)
            parts.append(part)
        elif at > begin and shell.runs and _OPERATOR.match(text, at):
            break
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts), at


def _with_home(text: str, shell: Shell, *, begins: bool) -> str:
    """`~` at the beginning, or where `--flag=~/x` has it."""
    if "~" not in text:
        return text
    found = (_TILDE.match(text) if begins else None) or _TILDE_AS_VALUE.search(text)
    return text[: found.start()] + shell.home + text[found.end() :] if found else text


def _double(text: str, at: int, shell: Shell, *, windows: bool) -> tuple[str, int]:
    parts: list[str] = []
    escaped = '"' if windows else '"\\$`'
    while at < len(text) and text[at] != '"':
        if found := _DOUBLE_PART.match(text, at):
            parts.append(found[0])
            at = found.end()
        elif text[at] == "\\":
            keeps = text[at + 1 : at + 2] not in escaped
            parts.append(text[at if keeps else at + 1 : at + 2])
            at += 2
        else:
            part, at = _filled_in(text, at, shell)
            parts.append(part)
    if at >= len(text):
        raise _unclosed()
    return "".join(parts), at + 1


def _filled_in(text: str, at: int, shell: Shell) -> tuple[str, int]:
    """What begins with `$` or a backquote."""
    if found := _SUBSTITUTION.match(text, at):
        is_pwd = found[0].strip("$()`").strip() == "pwd"
        folder = shell.value("PWD") if is_pwd else None
        return (open_word(found[0]) if folder is None else folder), found.end()
    found = _VARIABLE.match(text, at)
    if found is None:
        return text[at], at + 1
    name = found[1] or found[2]
    if name in shell.placeholders and found[2]:
        return found[0], found.end()
    value = shell.value(name)
    value = found[3] if value is None else value
    return (open_word(found[0]) if value is None else value), found.end()


def _unclosed() -> InvalidRequest:
    return InvalidRequest("the command can't be read: a quote is not closed; check its quotes")
