"""From a command line that somebody pastes to a command's options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from llamactl.backends.command.placeholders import MODEL, PORT
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import OptionValue
from llamactl.policy.definition.command_line import Parsed, split_command
from llamactl.policy.pasted import is_open, plain, within, without_open

_PORT_FLAG = re.compile(r"--?(?:(?:http|server|listen|api|web)[-_])?port\Z|-p\Z")
_ADDRESS_FLAG = re.compile(r"--?(?:listen|bind|addr|address|l|b)(?:[-_](?:addr|address|host))?\Z")
_ADDRESS = re.compile(r"((?:https?://)?(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\])?:)\d{2,5}\Z")
_A_PORT = re.compile(r"\d{2,5}\Z")
_PORT = f"${{{PORT}}}"


def read_command(text: str) -> Parsed:
    """Raises InvalidRequest."""
    parsed, words, folder = split_command(text, (PORT, MODEL))
    if not words or words[0].startswith("-"):
        raise InvalidRequest("the command can't be read: it names no program; write the program")
    if is_open(words[0]):
        raise InvalidRequest(
            f"the command can't be read: llamactl does not know what {plain(words[0])} is here; "
            "write the program in full"
        )
    (program, *args), unknown = without_open(words)
    parsed.not_understood += unknown
    program, said = with_folder(program, folder)
    parsed.not_understood += said
    options: dict[str, OptionValue] = {"command": program}
    if args := with_port(args):
        options["args"] = args
    parsed.options = options
    parsed.environment = dict(_with_own_port(parsed.environment, args))
    return parsed


def with_folder(program: str, folder: str) -> tuple[str, list[str]]:
    """Its path, and what is different because it runs in another folder."""
    said: list[str] = []
    if folder:
        said.append(f"cd {folder}: it runs in another folder; write paths in its arguments in full")
    if "/" not in program:
        return program, said
    path = within(folder, program)
    if is_open(path):
        said.append(f"{program}: llamactl does not know its folder; write its path in full")
    return plain(path), said


def with_port(args: list[str]) -> list[str]:
    """What says where it listens gives way to `${PORT}`."""
    found: list[str] = []
    before = ""
    for word in args:
        flag, equals, value = word.partition("=")
        if equals:
            found.append(f"{flag}={_filled(flag, value)}")
        else:
            found.append(_filled(before, word))
        before = word
    return found


def _filled(flag: str, value: str) -> str:
    if _PORT_FLAG.match(flag) and _A_PORT.match(value):
        return _PORT
    if _ADDRESS_FLAG.match(flag) and (address := _ADDRESS.match(value)):
        return address[1] + _PORT
    return value


def _with_own_port(environment: Mapping[str, str], args: list[str]) -> Iterator[tuple[str, str]]:
    """`PORT=9000 node server.js`, unless its arguments say where it listens."""
    told = any(_PORT in word for word in args)
    for name, value in environment.items():
        yield name, _PORT if name == PORT and value.isdigit() and not told else value
