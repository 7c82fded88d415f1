"""A text's words where its quotes count, and no shell reads its variables."""

from __future__ import annotations

import re
import shlex

from llamactl.core.errors import InvalidRequest
from llamactl.policy.pasted.shell import Shell, open_word

CONTINUED = re.compile(r"\\[ \t]*\r?\n(?:[ \t]*[#;][^\n]*\n)*")
# What no shell reads has no comments, but people write them.
_COMMENT = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*'|\\.)|(?<!\S)#[ \t][^\n]*""", re.DOTALL)
_TO_FILL_IN = re.compile(r"<[^\s<>]+>\Z")  # by the reader
# `$$`, `$NAME`, `${NAME}`, `${NAME:-word}` and its kin, where `word` may hold another one.
_VARIABLE = re.compile(
    r"\$(?:(\$)|([A-Za-z_]\w*)"
    r"|\{([A-Za-z_]\w*)(?:(:?[-?+])((?:[^{}]|\$\{[^{}]*\})*))?\})"
)


def split_quoted(text: str) -> list[str]:
    """Raises InvalidRequest for quotes that don't end."""
    try:
        words = shlex.split(CONTINUED.sub(" ", _COMMENT.sub(lambda one: one[1] or "", text)))
    except ValueError as exc:
        raise InvalidRequest(
            "the command can't be read: a quote is not closed; check its quotes"
        ) from exc
    return [open_word(word) if _TO_FILL_IN.match(word) else word for word in words]


def at_home(path: str, shell: Shell) -> str:
    """`~` at its beginning; what follows a colon is another path."""
    return shell.home + path[1:] if path == "~" or path.startswith(("~/", "~:")) else path


def interpolated(text: str, shell: Shell) -> str:
    """With its variables, as a compose file has them; what is not known here is open.

    Raises InvalidRequest where variables make it too long.
    """

    def one(found: re.Match[str]) -> str:
        name, operator, word = found[2] or found[3], found[4] or "", found[5] or ""
        if found[1]:
            return "$"
        if name in shell.placeholders:
            return f"${{{name}}}"
        value = shell.value(name)
        if operator.endswith("+"):
            return interpolated(word, shell) if value else ""
        if operator.endswith("-") and value is None:
            return interpolated(word, shell)
        return open_word(found[0]) if value is None else value

    return _VARIABLE.sub(one, text)
