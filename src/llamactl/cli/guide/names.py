"""Command names from other programs, and the commands they map to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llamactl.policy.definition.near import nearest

# accepted for a command; the first word only
ALIASES: Mapping[str, Sequence[str]] = {
    "list": ["ps"], "ls": ["ps"],
    "pull": ["models", "pull"],
    "delete": ["rm"], "remove": ["rm"],
    "version": ["--version"], "help": ["--help"],
}  # fmt: skip
MEMBER_ALIASES: Mapping[str, Sequence[str]] = {"list": ["ls"], "delete": ["rm"], "remove": ["rm"]}
# not accepted, as they may mean something else; but the error names the right command
_ELSEWHERE: Mapping[str, str] = {
    "add": "create", "delete": "revoke", "download": "models pull", "edit": "update",
    "get": "models pull", "images": "models ls", "info": "status", "inspect": "show",
    "kill": "stop", "load": "start", "new": "create", "remove": "revoke", "rm": "revoke",
    "unload": "stop",
}  # fmt: skip


def spelled_out(args: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> list[str]:
    """The same words, with the command by its own name. Options may come before it."""
    at = next((n for n, word in enumerate(args) if word[:1] != "-"), None)
    if at is None or (meant := aliases.get(args[at])) is None:
        return [*args]
    before, after = args[:at], args[at + 1 :]
    if [*meant] == ["--help"]:  # `help COMMAND`
        return [*before, *after, *meant]
    return [*before, *meant, *after]


def meant(word: str, known: Iterable[str]) -> str:
    """The command that an unknown word most likely means, or ""."""
    known = [*known]
    elsewhere = _ELSEWHERE.get(word, "")
    first, _, last = elsewhere.partition(" ")
    if first in known:
        return elsewhere
    return last if last in known else nearest(word, known)
