"""A text's words, as a POSIX shell splits it, for one who cannot run the shell.

What only a running shell can know, such as `$(pwd)`, stays in its word, marked (`is_open`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from llamactl.core.errors import InvalidRequest

_OPEN, _CLOSE = "\ue000", "\ue001"  # around what is not known; private, so no text has them
_FIELDS = "\ue002"  # between the words that one expansion gives
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}{_FIELDS}]")
# Of POSIX, PowerShell and cmd; people comment on what follows, or out, also in between.
_CONTINUED = re.compile(r"[\\`^](?:[ \t]+#[^\n]*(?:\n|\Z)|[ \t]*\r?\n)(?:[ \t]*#[^\n]*(?:\n|\Z))*")
_WINDOWS = re.compile(r"\.exe\b|(?:^|[\s\"'])[A-Za-z]:\\|%\w+%\\", re.IGNORECASE)
_BETWEEN = " \t\r\n"
_BLANK = re.compile(r"[ \t\r]+")
_BETWEEN_WORDS = re.compile(r"\s+(?:#[^\n]*)?|#[^\n]*")
_COMMENT = re.compile(r"#[^\n]*")
# Inside a word, `;` and `|` are characters: people paste from files that no shell reads.
_OPERATOR = re.compile(r"&&|\|\|(?!\S)|;;?(?=\s|\Z)|[|&()](?=\s|\Z)|(?<!\S)[{}](?=\s|\Z)")
_TO_FILL_IN = re.compile(r"<[^\s<>]+>")  # by the reader
_REDIRECTION = re.compile(r"(?:\d|&)?(?:>{1,2}\|?|<{1,3}(?![^\s<>]+>))(?:&\d|[ \t]*[^\s;&|]+)?")
_PLAIN = re.compile(r"[^ \t\r\n'\"\\$`;&]+")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE_PART = re.compile(r'[^"\\$`]+')
_SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?([-=?+])([^{}]*))?\})")
_OTHER_EXPANSION = re.compile(r"\$(?:\{[^{}\s]*\}|[0-9@*#?$!])")
_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=\(")
_ARRAY_VALUE = re.compile(r"\$\{([A-Za-z_]\w*)\[[@*]\]\}")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
# A word between the quotes of a text processor.
_TYPESET = re.compile(r"(?<![^\s=])[\u201c-\u201f]([^\u201c-\u201f\"\n]*)[\u201c-\u201f](?!\S)")
_TYPESET_SINGLE = re.compile(
    r"(?<![^\s=])[\u2018-\u201b]([^\u2018-\u201b'\n]*)[\u2018-\u201b](?!\S)"
)
_PERCENT = re.compile(r"%([A-Za-z_]\w*)%")  # a variable of cmd
_PATH = re.compile(r"[~.]?/|[A-Za-z]:\\")
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
    arrays: dict[str, list[str]] = field(default_factory=dict)
    left: int = 1 << 20  # characters that variables may still add

    def tokens(self, text: str) -> Iterator[Token]:
        """Lazily: a variable that is set in between counts from there on.

        Raises InvalidRequest for quotes that don't end.
        """
        text = _MARKS.sub("", _CONTINUED.sub(" ", text))
        text = _TYPESET_SINGLE.sub(r"'\1'", _TYPESET.sub(r'"\1"', text))
        return _tokens(text, self)

    def value(self, name: str) -> str | None:
        """Raises InvalidRequest where variables make it too long."""
        found = self.variables.get(name, self.home if name == "HOME" else None)
        self.spend(found or "")
        return found

    def spend(self, *texts: str) -> None:
        self.left -= sum(map(len, texts))
        if self.left < 0:
            raise InvalidRequest("the command can't be read: its variables make it too long")


def split(text: str, shell: Shell) -> list[str]:
    """A text that no shell reads, although it is split as one would."""
    runs, shell.runs = shell.runs, False
    try:
        return [token.text for token in shell.tokens(text) if token.kind == "word"]
    finally:
        shell.runs = runs


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
        elif shell.runs and (found := _ARRAY.match(text, at)):
            before = shell.arrays.get(found[1], []) if found[2] else []
            words, at = _array(text, found.end(), shell, windows=windows)
            shell.arrays[found[1]] = [*before, *words]
        else:
            begin = at
            word, at = _word(text, at, shell, windows=windows)
            if windows and "%" in word:
                word = _PERCENT.sub(lambda one: shell.value(one[1]) or open_word(one[0]), word)
            if _TO_FILL_IN.fullmatch(text, begin, at) or (
                shell.runs and _is_pattern(text[begin:at]) and not is_open(word)
            ):
                yield Token("word", open_word(word))
            else:
                yield from (Token("word", one) for one in _fields(word))


def _is_pattern(text: str) -> bool:
    """Files that only a shell finds."""
    return _PATH.match(text) is not None and "=" not in text and ("*" in text or "?" in text)


def _array(text: str, at: int, shell: Shell, *, windows: bool) -> tuple[list[str], int]:
    """The words up to its end, and where that is."""
    words: list[str] = []
    while at < len(text) and text[at] != ")":
        if found := _BETWEEN_WORDS.match(text, at):
            at = found.end()
        else:
            word, at = _word(text, at, shell, windows=windows)
            if text[at - 1 : at] == ")" == word[-1:]:  # no quote, and no `$(…)`
                return words + [one for one in _fields(word[:-1]) if one], at
            words += _fields(word)
    return words, at + 1


def _fields(word: str) -> list[str]:
    """What an expansion without quotes makes of one word; not where a variable is set."""
    if _FIELDS not in word:
        return [word]
    if _ASSIGNED.match(word):
        return [word.replace(_FIELDS, " ").strip()]
    return [one for one in word.split(_FIELDS) if one]


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
            parts.append(_split(part) if shell.runs else part)
        elif at > begin and shell.runs and _OPERATOR.match(text, at):
            break
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts), at


def _split(text: str) -> str:
    """An expansion without quotes: blanks in it are between words."""
    words = text.split()
    if is_open(text) or words == [text] or not words:
        return text
    before, after = (_FIELDS if end.isspace() else "" for end in (text[0], text[-1]))
    return f"{before}{_FIELDS.join(words)}{after}"


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
    if (found := _ARRAY_VALUE.match(text, at)) and found[1] in shell.arrays:
        shell.spend(*shell.arrays[found[1]])
        return _FIELDS.join(["", *shell.arrays[found[1]], ""]), found.end()
    found = _VARIABLE.match(text, at)
    if found is None:
        other = _OTHER_EXPANSION.match(text, at) if shell.runs else None
        return (open_word(other[0]), other.end()) if other else (text[at], at + 1)
    name = found[1] or found[2]
    if name in shell.placeholders:
        return f"${{{name}}}", found.end()
    value = _with_default(shell.value(name), found[3], found[4])
    return (open_word(found[0]) if value is None else value), found.end()


def _with_default(value: str | None, operator: str | None, word: str) -> str | None:
    """What `${NAME:-word}` and its kin come to; None where that is not known."""
    if operator == "+":
        return word if value else value
    return word if value is None and operator in ("-", "=") else value


def _unclosed() -> InvalidRequest:
    return InvalidRequest("the command can't be read: a quote is not closed; check its quotes")
