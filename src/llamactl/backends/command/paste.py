"""From a command line that somebody pastes to a command's options."""

from __future__ import annotations

from llamactl.backends.command.placeholders import MODEL, PORT
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.command_line import Parsed, split_command
from llamactl.policy.pasted import is_open, plain

_PORT_FLAGS = ("--port", "-port", "-p")
_PORT = f"${{{PORT}}}"


def read_command(text: str) -> Parsed:
    """Raises InvalidRequest."""
    parsed, words = split_command(text, (PORT, MODEL))
    if not words or words[0].startswith("-"):
        raise InvalidRequest("the command can't be read: it names no program; write the program")
    for word in filter(is_open, words):
        parsed.not_understood.append(
            f"{plain(word)}: llamactl does not know what that is here; write it in full"
        )
    words = [plain(word) for word in words]
    program, *args = words
    options: dict[str, OptionValue] = {"command": program}
    if args := with_port(args):
        options["args"] = args
    parsed.options = options
    return parsed


def with_port(args: list[str]) -> list[str]:
    """The value of a flag for the port gives way to `${PORT}`."""
    found = [*args]
    for at, word in enumerate(args):
        flag, equals, value = word.partition("=")
        if flag not in _PORT_FLAGS:
            continue
        if equals and value.isdigit():
            found[at] = f"{flag}={_PORT}"
        elif not equals and args[at + 1 : at + 2] and args[at + 1].isdigit():
            found[at + 1] = _PORT
    return found
