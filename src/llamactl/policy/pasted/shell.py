"""A text's words, as a POSIX shell splits it, for one who cannot run the shell.

What only a running shell can know, such as `$(pwd)`, stays in its word, marked (`is_open`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.arithmetic import computed

_OPEN, _CLOSE = "\ue000", "\ue001"  # around what is not known; private, so no text has them
_FIELDS = "\ue002"  # between the words that one expansion gives
_JOINT = "\ue003"  # where a line continues in the next one; a comment ends there too
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}{_FIELDS}{_JOINT}]")
# Of POSIX, PowerShell and cmd; people comment on what follows, or out, also in between.
CONTINUED = re.compile(r"[\\`^](?:[ \t]+#[^\n]*(?:\n|\Z)|[ \t]*\r?\n)(?:[ \t]*#[^\n]*(?:\n|\Z))*")
_WINDOWS = re.compile(r"\.exe\b|(?:^|[\s\"'])[A-Za-z]:\\|%\w+%\\", re.IGNORECASE)
_BETWEEN = f" \t\r\n{_JOINT}"
_BLANK = re.compile(f"[ \t\r{_JOINT}]+")
_COMMENT = re.compile(f"#[^\n{_JOINT}]*")
# Where no shell reads the text, `#` is a character; but people comment on their lines all the same.
_MEANT_AS_COMMENT = re.compile(f"#(?=[\\s{_JOINT}]|\\Z)[^\n{_JOINT}]*")
# Inside a word, `;` and `|` are characters: people paste from files that no shell reads.
_OPERATOR = re.compile(r"&&|\|\|(?!\S)|;;?(?=\s|\Z)|[|&()](?=\s|\Z)|(?<!\S)[{}](?=\s|\Z)")
_TO_FILL_IN = re.compile(r"<[^\s<>]+>")  # by the reader
_REDIRECTION = re.compile(r"(?:\d|&)?(?:>{1,2}\|?|<{1,3}(?![^\s<>]+>))(?:&\d|[ \t]*[^\s;&|]+)?")
_PLAIN = re.compile(f"[^ \t\r\n{_JOINT}'\"\\\\$`;&]+")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE_PART = re.compile(r'[^"\\$`]+')
_BACKQUOTED = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_KEPT = re.compile(r'[^][(){}\'"\\]+|\\.|"(?:[^"\\]|\\.)*"', re.DOTALL)  # no brackets in it
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_NAMED = re.compile(r"\$(?:[Ee]nv:)?([A-Za-z_]\w*)")  # also PowerShell's
_PARAMETER = re.compile(r"(?:[Ee]nv:)?([A-Za-z_]\w*|[1-9])(?:(:?)([-=?+])(.*))?", re.DOTALL)
_OPERAND = re.compile(r"(?<!\w)(?:\$|\$(?=\{)\{)?([A-Za-z_]\w*)\}?")
_WHOLE = re.compile(r"-?\d{1,18}")
_DEFAULT_PART = re.compile(r"[^'\"\\$`]+")
_SPECIAL = re.compile(r"\$[0-9@*#?$!-]")
_ANSI = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ANSI_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|([0-7]{1,3})|([abefnrtvE\\'\"?]))"
)
_ANSI_LETTERS = dict(zip("abefnrtvE", "\a\b\x1b\f\n\r\t\v\x1b", strict=True))
_DEEPEST = 8  # defaults in defaults
_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=\(")
_ARRAY_VALUE = re.compile(r"([A-Za-z_]\w*)\[[@*]\]")
_ADDED_TO = re.compile(r"([A-Za-z_]\w*)\+=")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*\+?=")
# A word between the quotes of a text processor.
_TYPESET = re.compile(r"(?<![^\s=])[\u201c-\u201f]([^\u201c-\u201f\"\n]*)[\u201c-\u201f](?!\S)")
_TYPESET_SINGLE = re.compile(
    r"(?<![^\s=])[\u2018-\u201b]([^\u2018-\u201b'\n]*)[\u2018-\u201b](?!\S)"
)
_PERCENT = re.compile(r"%([A-Za-z_]\w*)%")  # a variable of cmd
_PATH = re.compile(r"[~.]?/|[A-Za-z]:\\")
_TILDE = re.compile(r"~(?=/|\Z)")
_OTHER_HOME = re.compile(r"~[A-Za-z_][\w-]*(?=/)")
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
    deep: int = 0  # defaults in defaults, while one is read
    left: int = 1 << 20  # characters that variables may still add

    def tokens(self, text: str) -> Iterator[Token]:
        """Lazily: a variable that is set in between counts from there on.

        Raises InvalidRequest for quotes that don't end.
        """
        text = _MARKS.sub("", text)
        if self.runs or "\n" in text:  # in one line, what seems to be a comment may be all the rest
            text = CONTINUED.sub(f" {_JOINT}", text)
        text = _TYPESET_SINGLE.sub(r"'\1'", _TYPESET.sub(r'"\1"', text))
        return _tokens(text, self)

    def value(self, name: str) -> str | None:
        """Raises InvalidRequest where variables make it too long."""
        found = self.variables.get(name, self.home if name == "HOME" else None)
        self.spend(found or "")
        return found

    def spend(self, *texts: str) -> None:
        self.left -= sum(len(text) + 1 for text in texts)  # an empty one is a word, too
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
    comment = _comment(text, shell)
    at = 0
    while at < len(text):
        if found := _BLANK.match(text, at):
            at = found.end()
        elif text[at] == "\n":
            yield Token("line", "\n")
            at += 1
        elif comment and (found := comment.match(text, at)):
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
                yield from (Token("word", _added(one, shell)) for one in _fields(word))


def _comment(text: str, shell: Shell) -> re.Pattern[str] | None:
    if shell.runs:
        return _COMMENT
    has_lines = "\n" in text.strip() or _JOINT in text
    return _MEANT_AS_COMMENT if has_lines else None


def _added(word: str, shell: Shell) -> str:
    """`NAME+=text`, as the value that NAME has then."""
    found = _ADDED_TO.match(word) if shell.runs else None
    return f"{found[1]}={shell.value(found[1]) or ''}{word[found.end() :]}" if found else word


def _is_pattern(text: str) -> bool:
    """Files that only a shell finds."""
    return _PATH.match(text) is not None and "=" not in text and ("*" in text or "?" in text)


def _array(text: str, at: int, shell: Shell, *, windows: bool) -> tuple[list[str], int]:
    """The words up to its end, and where that is."""
    words: list[str] = []
    while at < len(text) and text[at] != ")":
        if found := _BLANK.match(text, at) or _COMMENT.match(text, at):
            at = found.end()
        elif text[at] == "\n":
            at += 1
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
        elif literal := _literal(text, at, shell, windows=windows):
            parts.append(literal[0])
            at = literal[1]
        elif text[at] in "$`":
            part, at = _filled_in(text, at, shell)
            parts.append(part)
        elif at > begin and shell.runs and _OPERATOR.match(text, at):
            break
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts).replace(_JOINT, ""), at


def _literal(text: str, at: int, shell: Shell, *, windows: bool) -> tuple[str, int] | None:
    """What quotes or a backslash keep together, and where it ends."""
    if found := _SINGLE.match(text, at):
        return found[1], found.end()
    if shell.runs and (found := _ANSI.match(text, at)):
        return _ANSI_ESCAPE.sub(_unescaped, found[1]), found.end()
    if shell.runs and text.startswith('$"', at):  # which is translated where there is a catalog
        at += 1
    if text[at] == '"':
        return _double(text, at + 1, shell, windows=windows)
    if text[at] == "\\" and not windows:
        return text[at + 1 : at + 2], at + 2
    if text[at] == "'":
        raise _unclosed()
    return None


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits or found[3]:
        return chr(int(digits, 16) if digits else int(found[3], 8))
    return _ANSI_LETTERS.get(found[4], found[4])


def _split(text: str, shell: Shell) -> str:
    """An expansion without quotes: blanks in it are between words."""
    words = text.split()
    if not shell.runs or is_open(text) or words == [text] or not words:
        return text
    before, after = (_FIELDS if end.isspace() else "" for end in (text[0], text[-1]))
    return f"{before}{_FIELDS.join(words)}{after}"


def _with_home(text: str, shell: Shell, *, begins: bool) -> str:
    """`~` at the beginning, or where `--flag=~/x` has it."""
    if "~" not in text:
        return text
    if begins and shell.runs and (other := _OTHER_HOME.match(text)):
        return open_word(other[0]) + text[other.end() :]
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
            part, at = _filled_in(text, at, shell, quoted=True)
            parts.append(part)
    if at >= len(text):
        raise _unclosed()
    return "".join(parts), at + 1


def _filled_in(text: str, at: int, shell: Shell, *, quoted: bool = False) -> tuple[str, int]:
    """What begins with `$` or a backquote."""
    if found := _BACKQUOTED.match(text, at):
        return _substituted(found[0], found[0][1:-1], shell), found.end()
    if found := _NAMED.match(text, at):
        return _parameter(found[0], found[1], shell, quoted=quoted), found.end()
    if text[at] == "$" and text[at + 1 : at + 2] in _brackets(shell):
        end = _end(text, at + 1, quoted=quoted)
        written, inner = text[at:end], text[at + 2 : end - 1]
        if written[1] == "{":
            return _parameter(written, inner, shell, quoted=quoted), end
        if written[1] == "[":
            return _arithmetic(written, inner, shell), end
        if inner.startswith("(") and inner.endswith(")"):
            return _arithmetic(written, inner[1:-1], shell), end
        return _substituted(written, inner, shell), end
    if shell.runs and (found := _SPECIAL.match(text, at)):
        return open_word(found[0]), found.end()
    return text[at], at + 1


def _brackets(shell: Shell) -> Collection[str]:
    return _CLOSING if shell.runs else ("(", "{")


def _end(text: str, at: int, *, quoted: bool) -> int:
    """Behind the bracket that closes the one there. Raises InvalidRequest."""
    opening, closing = text[at], _CLOSING[text[at]]
    single = None if quoted and opening == "{" else _SINGLE  # a character there
    open_ones = 0
    while at < len(text):
        if found := (single.match(text, at) if single else None) or _KEPT.match(text, at):
            at = found.end()
        else:
            open_ones += (text[at] == opening) - (text[at] == closing)
            at += 1
            if not open_ones:
                return at
    raise InvalidRequest(f"the command can't be read: ${opening} is not closed; check its brackets")


def _substituted(written: str, command: str, shell: Shell) -> str:
    folder = shell.value("PWD") if command.strip() == "pwd" else None
    return open_word(plain(written)) if folder is None else folder


def _arithmetic(written: str, text: str, shell: Shell) -> str:
    def number(found: re.Match[str]) -> str:
        value = (shell.variables.get(found[1]) or "").strip()
        return value if _WHOLE.fullmatch(value) else found[0]

    value = computed(_OPERAND.sub(number, text))
    return open_word(plain(written)) if value is None else str(value)


def _parameter(written: str, inner: str, shell: Shell, *, quoted: bool) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}` and their kin."""
    if (found := _ARRAY_VALUE.fullmatch(inner)) and found[1] in shell.arrays:
        shell.spend(*shell.arrays[found[1]])
        return _FIELDS.join(["", *shell.arrays[found[1]], ""])
    found = _PARAMETER.fullmatch(inner)
    if found is None:
        return open_word(plain(written))
    name, colon, operator, word = found.groups()
    if name in shell.placeholders:
        return f"${{{name}}}"
    value = shell.value(name)
    is_set = value is not None and not (colon and not value)
    if operator and operator in ("+" if is_set else "-="):
        text = _default(word, shell, quoted=quoted)
        if operator == "=":
            shell.variables[name] = text.replace(_FIELDS, " ")
        return text
    if value is None or (operator == "?" and not is_set):
        return open_word(plain(written))
    return value if quoted else _split(value, shell)


def _default(text: str, shell: Shell, *, quoted: bool) -> str:
    """The word of `${NAME:-word}`, which is in quotes, or not, as the expansion is."""
    if shell.deep == _DEEPEST:
        return open_word(plain(text))
    shell.deep += 1
    parts: list[str] = []
    at = 0
    while at < len(text):
        if found := _DEFAULT_PART.match(text, at):
            part = found[0] if quoted else _with_home(found[0], shell, begins=not at)
            parts.append(part if quoted else _split(part, shell))
            at = found.end()
            continue
        literal = None if quoted else _literal(text, at, shell, windows=False)
        part, at = literal or _within_quotes(text, at, shell)
        parts.append(part)
    shell.deep -= 1
    return "".join(parts)


def _within_quotes(text: str, at: int, shell: Shell) -> tuple[str, int]:
    """There, further quotes end those around them, and begin them again."""
    if text[at] == '"':
        return _double(text, at + 1, shell, windows=False)
    if text[at] == "\\":
        keeps = text[at + 1 : at + 2] not in '"\\$`}'
        return text[at if keeps else at + 1 : at + 2], at + 2
    return _filled_in(text, at, shell, quoted=True)


def _unclosed() -> InvalidRequest:
    return InvalidRequest("the command can't be read: a quote is not closed; check its quotes")
