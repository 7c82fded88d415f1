"""Engines' options."""

from __future__ import annotations

from collections.abc import Sequence

from llamactl.backends import DEFAULT
from llamactl.client._sync.transport import Transport
from llamactl.client.calls import API, Call
from llamactl.schemas.backends import EngineBody, OptionBody, ParsedBody


class Backends:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def installed(self) -> Sequence[EngineBody]:
        """The engines of the server's machine."""
        return self._transport.read(list[EngineBody], Call("GET", f"{API}/backends"))

    def options(self, backend: str = DEFAULT.kind.section) -> Sequence[OptionBody]:
        """The options of the installed engine, from its own help."""
        call = Call("GET", f"{API}/backends/{backend}/options")
        return self._transport.read(list[OptionBody], call)

    def parse_command(
        self, command: str, backend: str = DEFAULT.kind.section, *, allow_unknown: bool = False
    ) -> ParsedBody:
        """A pasted command line as an instance's options."""
        at, body = f"{API}/backends/{backend}/parse-command", {"command": command}
        call = Call("POST", at, {"allow_unknown": allow_unknown or None}, body, again=True)
        return self._transport.read(ParsedBody, call)
